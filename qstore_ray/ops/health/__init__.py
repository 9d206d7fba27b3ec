"""Whether what runs here is well: checks as plain functions, each with a time limit.

A check takes a `HealthScope` and yields findings; `examine_health` runs all of them side by side. A
check that hangs becomes a finding that says so, and the others are there all the same. What
`qstore_ray.doctor` says about the machine is not repeated, and its checks are used where they are
the same: the folder of the runs, MLflow, the cluster.

    examine.py       all checks, their time limits
    run_states.py    running, silent, killed and damaged runs
    studies.py       the stores of searches
    hardware.py      ledgers of paid jobs, and budgets
    open_alerts.py   the log of alerts
"""

from __future__ import annotations

from qstore_ray.ops.health.examine import examine_health, worst
from qstore_ray.ops.health.scope import HealthScope

__all__ = ["HealthScope", "examine_health", "worst"]
