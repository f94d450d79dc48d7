"""`python -m modelwire`; see `cli.py`."""

import sys

from modelwire.cli import main

if __name__ == "__main__":
    sys.exit(main())
