"""Train the model that a job file describes.

    python jobs/train.py jobs/digits.toml

Arguments, output and exit codes are those of `qstore train`; `--help` lists them. With
`--json` the last line on stdout is the result, or the error, as JSON.
"""

import sys

from qstore_ray.cli.entry import main

sys.argv[1:1] = ["train"]

if __name__ == "__main__":
    sys.exit(main())
