"""``python -m jaxbackprop``."""

import sys

from jaxbackprop.commands import main

sys.exit(main())
