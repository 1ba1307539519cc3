"""`python -m volition` is the command `volition`."""

import sys

from volition.cli import main

if __name__ == "__main__":
    sys.exit(main())
