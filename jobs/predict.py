"""Predict rows with a trained model.

    python jobs/predict.py digits rows.csv

Arguments, output and exit codes are those of `qstore predict`; `--help` lists them. With
`--json` the last line on stdout is the result, or the error, as JSON.
"""

import sys

from qstore_ray.cli.entry import main

sys.argv[1:1] = ["predict"]

if __name__ == "__main__":
    sys.exit(main())
