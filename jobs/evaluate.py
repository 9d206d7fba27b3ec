"""Score a trained model.

    python jobs/evaluate.py digits

Arguments, output and exit codes are those of `qstore evaluate`; `--help` lists them. With
`--json` the last line on stdout is the result, or the error, as JSON.
"""

import sys

from qstore_ray.cli.entry import main

sys.argv[1:1] = ["evaluate"]

if __name__ == "__main__":
    sys.exit(main())
