#!/usr/bin/env bash
# A head whose agent port is taken starts, and refuses every job for as long as it runs.
#
# Versions   ray 2.60.0
# Valid input  ray start --head beside another program that listens at the agent's port: 52365 by
#            default, so any second head of a machine, whose other ports differ
# Behaviour  `ray start` reports success, the dashboard answers, tasks run. The agent's HTTP server did
#            not start, which only dashboard_agent.log says. A submission is answered with status 500
#            "No available agent to submit job, please try again later", and trying again later does
#            not help: neither after a minute, nor once the port is free again.
# Output seen  ray start: exit code 0
#              submission: 500, No available agent to submit job, please try again later..
#              a minute after the port is free: the same
#
# Fails when this changes. Installs into a temporary folder; takes about three minutes.
set -euo pipefail
folder=$(mktemp -d)
export RAY_TMPDIR=$folder/r RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
mkdir "$RAY_TMPDIR"
head=
clean() {
    [ -z "$head" ] || kill -- "-$head" 2>/dev/null || true
    sleep 3
    [ -z "$head" ] || kill -9 -- "-$head" 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[default]==2.60.0"
cd "$folder"
cat >try.py <<'PYTHON'
import socket
import subprocess
import sys
import time

from ray.job_submission import JobSubmissionClient

taken = socket.create_server(("0.0.0.0", 0))
free = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
gcs, dashboard, client = (str(each.getsockname()[1]) for each in free)
for each in free:
    each.close()
command = [
    *(f"{sys.prefix}/bin/ray", "start", "--head", "--node-ip-address=127.0.0.1", "--num-cpus=1"),
    *(f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
    f"--dashboard-agent-listen-port={taken.getsockname()[1]}",
]
started = subprocess.run(command, capture_output=True, text=True)
print("ray start: exit code", started.returncode, flush=True)
assert started.returncode == 0, started.stderr


def submission():
    """What a submission is answered with, once the job server is there."""
    until = time.monotonic() + 120
    while True:
        try:
            return JobSubmissionClient(f"http://127.0.0.1:{dashboard}").submit_job(entrypoint="true")
        except ConnectionError:
            assert time.monotonic() < until
            time.sleep(1)
        except RuntimeError as error:
            said = str(error).replace("Request failed with status code ", "").strip().splitlines()[0]
            return said.rstrip(":").replace("500: ", "500, ")


time.sleep(30)
found = submission()
print("submission:", found, flush=True)
assert "500" in found and "No available agent" in found, found
taken.close()
time.sleep(60)
again = submission()
print("a minute after the port is free:", "the same" if again == found else again, flush=True)
assert again == found
PYTHON
set -m # a process group for all that the head starts
"$folder/venv/bin/python" try.py &
head=$!
wait "$head"
echo "as stated"
