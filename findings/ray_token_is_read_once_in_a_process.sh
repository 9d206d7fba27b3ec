#!/usr/bin/env bash
# A process that has started one Ray cannot start a second under another token.
#
# Versions   ray 2.60.0
# Valid input  RAY_AUTH_MODE=token; ray.init("local") and ray.shutdown(); another RAY_AUTH_TOKEN in
#            os.environ; ray.init("local") again
# Behaviour  The new head's processes read the new token from the environment, while this process still
#            sends the one that it read first: after twenty attempts in as many seconds ray.init raises
#            RuntimeError "Failed to start GCS". That the token is incorrect stands at the end of its
#            message, below a traceback, with the advice to set the variable that is set already.
# Output seen  first token: started
#              second token: RuntimeError: Failed to start GCS.
#              first token again: started
#
# Fails when this changes. Installs into a temporary folder; takes about a minute.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[default]==2.60.0"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import os

os.environ["RAY_AUTH_MODE"] = "token"  # before Ray is imported, which reads it then

import ray


def start(token):
    os.environ["RAY_AUTH_TOKEN"] = token * 32
    try:
        ray.init("local", num_cpus=1, log_to_driver=False)
    except RuntimeError as error:
        assert "InvalidAuthToken" in str(error), error
        return f"RuntimeError: {str(error).strip().splitlines()[0].partition('.')[0]}."
    finally:
        ray.shutdown()
    return "started"


found = {}
for name, token in (("first token", "a"), ("second token", "b"), ("first token again", "a")):
    found[name] = start(token)
    print(f"{name}: {found[name]}", flush=True)
assert found == {
    "first token": "started",
    "second token": "RuntimeError: Failed to start GCS.",
    "first token again": "started",
}, found
PYTHON
echo "as stated"
