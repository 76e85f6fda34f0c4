#!/usr/bin/env bash
# Usage: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [test.py options]
set -euo pipefail
CONFIG=$1
CHECKPOINT=$2
PROCESSES=$3
ROOT="$(cd "$(dirname "$0")/.." && pwd)"
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" --nproc-per-node="$PROCESSES" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    "$ROOT/tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
