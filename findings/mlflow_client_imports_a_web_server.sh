#!/usr/bin/env bash
# MLflow's client for a tracking store imports a web framework and the tools for language models.
#
# Versions   mlflow 3.17.2
# Valid input  from mlflow import MlflowClient, or from mlflow.tracking import MlflowClient
# Behaviour  The client that logs a number needs neither, but its import loads fastapi, starlette and
#            mlflow.genai, 1,700 modules in all, before a store is opened: seconds of CPU time and more than 100 MB
#            in each process that tracks, such as every trial of a search. A narrower import saves nothing, since
#            it runs mlflow/__init__.py too. Flask, of which MLflow's own server is made, is not loaded.
# Output seen  mlflow: fastapi, starlette, mlflow.genai, pandas; more than 1,500 modules
#              mlflow.tracking: fastapi, starlette, mlflow.genai, pandas; more than 1,500 modules
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "mlflow==3.17.2"
cd "$folder"
for module in mlflow mlflow.tracking; do
    MLFLOW_DISABLE_TELEMETRY=true "$folder/venv/bin/python" - "$module" <<'PYTHON'
import importlib
import sys

assert importlib.import_module(sys.argv[1]).MlflowClient
heavy = ("fastapi", "starlette", "mlflow.genai", "pandas", "flask")
loaded = [name for name in heavy if name in sys.modules]
assert len(sys.modules) > 1500, len(sys.modules)
print(f"{sys.argv[1]}: {', '.join(loaded)}; more than 1,500 modules")
assert loaded == ["fastapi", "starlette", "mlflow.genai", "pandas"], loaded
PYTHON
done
echo "as stated"
