#!/usr/bin/env bash
# xgboost's all-reduce, called in another thread than the one that joined, adds nothing up.
#
# Versions   xgboost-cpu 3.2.0
# Valid input  Two processes in a CommunicatorContext of one tracker; allreduce of 1.0 in one and 2.0 in the
#              other, first in the thread that joined, then in a thread that it starts
# Behaviour  The group belongs to the thread. In any other thread of the same process get_world_size() is 1,
#            is_distributed() is false, and allreduce returns its argument: each worker goes on with the sum of
#            its own, without an error. A training loop that runs in a thread, or sums in one while it
#            computes, then trains as many models as there are workers.
# Output seen  worker 0, the thread that joined: the sum is 3.0 of 2 workers
#              worker 0, another thread: the sum is 1.0 of 1 worker
#              worker 1, the thread that joined: the sum is 3.0 of 2 workers
#              worker 1, another thread: the sum is 2.0 of 1 worker
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "xgboost-cpu==3.2.0"
cat >"$folder/sums.py" <<'PYTHON'
import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from xgboost import collective
from xgboost.tracker import RabitTracker


def summed(number):
    """The sum of the number over the workers, and how many there are."""
    total = collective.allreduce(np.array([number]), collective.Op.SUM)
    return float(total[0]), collective.get_world_size()


def work(number, address, answers):
    with collective.CommunicatorContext(**address):
        here = summed(number)
        with ThreadPoolExecutor(1) as other:
            answers.put((number, here, other.submit(summed, number).result()))


if __name__ == "__main__":
    tracker = RabitTracker(n_workers=2, host_ip="127.0.0.1")
    tracker.start()
    answers = multiprocessing.Queue()
    address = tracker.worker_args()
    workers = [
        multiprocessing.Process(target=work, args=(number, address, answers)) for number in (1.0, 2.0)
    ]
    for worker in workers:
        worker.start()
    found = sorted(answers.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(60)
    for worker, (_, *sums) in enumerate(found):
        for thread, (total, size) in zip(("the thread that joined", "another thread"), sums):
            print(f"worker {worker}, {thread}: the sum is {total} of {size} worker{'s' * (size > 1)}")
    assert found == [(1.0, (3.0, 2), (1.0, 1)), (2.0, (3.0, 2), (2.0, 1))], found
    sys.exit(0)
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/sums.py" 2>/dev/null
echo "as stated"
