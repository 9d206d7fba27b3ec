"""`python -m qstore_ray` is `qstore`."""

import sys

from qstore_ray.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
