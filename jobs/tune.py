"""Search for the best way to train what a job file describes.

    python jobs/tune.py jobs/digits_tune.toml

Arguments, output and exit codes are those of `qstore tune`; `--help` lists them. With
`--json` the last line on stdout is the result, or the error, as JSON.
"""

import sys

from qstore_ray.cli.entry import main

sys.argv[1:1] = ["tune"]

if __name__ == "__main__":
    sys.exit(main())
