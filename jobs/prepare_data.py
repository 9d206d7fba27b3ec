"""Load, check and prepare the data of a job file once, into a folder.

    python jobs/prepare_data.py jobs/digits.toml digits-data

Arguments, output and exit codes are those of `qstore data prepare`; `--help` lists them. With
`--json` the last line on stdout is the result, or the error, as JSON.
"""

import sys

from qstore_ray.cli.entry import main

sys.argv[1:1] = ["data", "prepare"]

if __name__ == "__main__":
    sys.exit(main())
