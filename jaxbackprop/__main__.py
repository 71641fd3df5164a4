"""``jaxbackprop``, and ``python -m jaxbackprop``."""

import sys

from jaxbackprop._signals import run_stoppable


def main() -> int:
    """Runs the command line, whose imports a signal may end as well."""

    def run() -> int:
        from jaxbackprop.commands import main

        return main()

    return run_stoppable(run)


if __name__ == "__main__":
    sys.exit(main())
