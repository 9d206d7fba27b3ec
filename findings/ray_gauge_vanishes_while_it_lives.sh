#!/usr/bin/env bash
# A gauge that keeps its value disappears from Ray's Prometheus endpoint.
#
# Versions   ray 2.60.0
# Valid input  ray.util.metrics.Gauge.set once, by an actor that lives; a Counter beside it
# Behaviour  A gauge of Prometheus has its last value until it is set again. Ray's endpoint serves it for
#            about two report intervals (RAY_metrics_report_interval_ms, 10 s by default) and then no
#            more, while the process that has set it lives. The counter stays. A query for the gauge is
#            then empty, as if the process had ended; set again, it comes back.
# Output seen  after it was set: gauge 1.0, counter 1.0
#              40 seconds later: gauge none, counter 1.0
#              set again: gauge 2.0, counter 1.0
#
# Fails when this changes. Installs into a temporary folder; takes about three minutes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[default]==2.60.0"
cd "$folder"
export RAY_TMPDIR=$folder/r RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
mkdir "$RAY_TMPDIR"
"$folder/venv/bin/python" - <<'PYTHON'
import time
import urllib.request

import ray
from ray.util.metrics import Counter, Gauge

ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)


@ray.remote
class Worker:
    def __init__(self):
        self.gauge, self.counter = Gauge("seen_gauge"), Counter("seen_counter")
        self.counter.inc()

    def set(self, value):
        self.gauge.set(value)


def served():
    """The two values that the endpoint serves; None for one that it does not have."""
    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = {line.partition("{")[0]: line.rsplit(" ", 1)[1] for line in lines if "seen_" in line and line[0] != "#"}
    return found.get("ray_seen_gauge"), found.get("ray_seen_counter_total")


def once(gauge):
    """What is served once the gauge has this value."""
    until = time.monotonic() + 90
    while (now := served())[0] != gauge and time.monotonic() < until:
        time.sleep(0.5)
    return now


worker = Worker.remote()
found = []
for said, value in (("after it was set", 1.0), ("40 seconds later", None), ("set again", 2.0)):
    if value is None:
        time.sleep(40)
        now = served()
    else:
        ray.get(worker.set.remote(value))
        now = once(str(value))
    found.append(now)
    print(f"{said}: gauge {now[0] or 'none'}, counter {now[1] or 'none'}", flush=True)
ray.get(worker.set.remote(3.0))  # it has lived all the time
ray.shutdown()
assert found == [("1.0", "1.0"), (None, "1.0"), ("2.0", "1.0")], found
PYTHON
echo "as stated"
