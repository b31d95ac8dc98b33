"""`python -m runwright` is `runwright`."""

import sys

from runwright.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
