"""``python -m jaxbackprop``."""

import sys

from jaxbackprop.cli import main

sys.exit(main())
