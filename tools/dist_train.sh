#!/usr/bin/env bash
# Usage: bash tools/dist_train.sh CONFIG PROCESSES [train.py options]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail
CONFIG=$1
PROCESSES=$2
ROOT="$(cd "$(dirname "$0")/.." && pwd)"
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" --nproc-per-node="$PROCESSES" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    "$ROOT/tools/train.py" "$CONFIG" --launcher pytorch "${@:3}"
