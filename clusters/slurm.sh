#!/bin/bash
#SBATCH --job-name=qstore
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=qstore-%j.log
# A Ray cluster for one job of Slurm: the first node is the head, the job ends with the training.
#     sbatch clusters/slurm.sh train jobs/digits.toml --name digits --storage "$PWD/runs" --workers 16
# Submit it from the checkout, in a folder that all nodes see. Three minutes before the time is over
# Slurm sends SIGTERM: the run writes a checkpoint, and the same line resumes it.
set -euo pipefail

here=${SLURM_SUBMIT_DIR:?submit this script with sbatch}
bin=${QSTORE_BIN:-$here/.venv/bin}
cpus=${SLURM_CPUS_PER_TASK:-1}
# Jobs that share a node need ports of their own.
port=$((20000 + SLURM_JOB_ID % 4000 * 3))
private=${QSTORE_PRIVATE:-$HOME/.qstore-slurm}/$SLURM_JOB_ID
started=() driver=''

# shellcheck disable=SC2329 # by trap
clean_up() {
    trap - EXIT
    trap '' TERM INT
    # The head last: a node that cannot reach it any more waits 30 s before it ends.
    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        kill -TERM "${started[i]}" 2>/dev/null || true
        ((i > 1)) || wait "${started[@]:1}" 2>/dev/null || true
    done
    wait
    rm -rf "$private" "/tmp/ray-$SLURM_JOB_ID"
}
# shellcheck disable=SC2329 # by trap
stop() {
    if [[ -n $driver ]]; then kill -TERM "$driver" 2>/dev/null || true; else exit 143; fi
}
trap clean_up EXIT
trap stop TERM INT

# The token is in a file, so that no list of processes shows it.
(umask 077 && mkdir -p "$private" && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$private/token")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$private/token
export RAY_USAGE_STATS_ENABLED=0

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
on() { # NODE COMMAND ...: replaces the subshell, so that a signal reaches srun
    local node=$1
    shift
    exec srun --overlap --nodes=1 --ntasks=1 --cpus-per-task="$cpus" --nodelist="$node" "$@"
}
read -r address _ < <(on "${nodes[0]}" hostname --ip-address)
shared=(--block --num-cpus="$cpus" --temp-dir="/tmp/ray-$SLURM_JOB_ID" --disable-usage-stats)
shared+=(--object-store-memory="${QSTORE_OBJECT_STORE:-1073741824}")

on "${nodes[0]}" "$bin/ray" start --head --node-ip-address="$address" --port="$port" \
    --dashboard-host=127.0.0.1 --dashboard-port=$((port + 1)) --ray-client-server-port=$((port + 2)) "${shared[@]}" &
started+=($!)
until (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; do
    kill -0 "${started[0]}" # the head has ended: its log says why
    sleep 1
done
for node in "${nodes[@]:1}"; do
    on "$node" "$bin/ray" start --address="$address:$port" "${shared[@]}" &
    started+=($!)
done

export RAY_ADDRESS=$address:$port
"$bin/python" - "${#nodes[@]}" <<'PYTHON'
"""Wait until all nodes have joined."""
import sys
import time

import ray

ray.init(log_to_driver=False, logging_level="ERROR")
for _ in range(120):
    if sum(node["Alive"] for node in ray.nodes()) >= int(sys.argv[1]):
        break
    time.sleep(1)
else:
    raise SystemExit("not all nodes joined the cluster within two minutes")
PYTHON

PATH=$bin:$PATH "$bin/python" "$here/clusters/qstore-resume" "$@" &
driver=$!
code=0
wait "$driver" || code=$?
if kill -0 "$driver" 2>/dev/null; then # a signal has ended the wait, not the run
    code=0
    wait "$driver" || code=$?
fi
exit "$code"
