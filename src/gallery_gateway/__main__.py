"""`python -m gallery_gateway`: the command line."""

import sys

from gallery_gateway.cli import main

sys.exit(main())
