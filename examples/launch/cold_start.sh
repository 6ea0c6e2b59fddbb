#!/usr/bin/env bash
# Stage 1, the cold start, on one node or on several with torchrun. Run it on every node with the
# same arguments, the folder of `ovr pack` being seen by all:
#
#   bash examples/launch/cold_start.sh data.train_files=/shared/packs \
#       trainer.default_local_dir=/shared/cold_start
#
# Several nodes need in the environment NNODES and HEAD, the address of one of them (slurm.sh sets
# both). RUN (here) is the run's folder for `ovr report`: logs/ goes there. Also: RECIPE (sft_7b),
# GPUS_PER_NODE (8), PORT (29500), METRICS (a file that is appended to).
set -euo pipefail

RECIPE=${RECIPE:-sft_7b}
RUN=${RUN:-.}
NNODES=${NNODES:-1}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
PORT=${PORT:-29500}
VERL_FILE_LOGGER_PATH=$(realpath -m "${METRICS:-$RUN/logs/$RECIPE.jsonl}")
export VERL_FILE_LOGGER_PATH

if ((NNODES == 1)); then
    rendezvous=(--standalone)
else
    : "${HEAD:?set HEAD, the address of one of the nodes}"
    rendezvous=("--nnodes=$NNODES" --rdzv_backend=c10d "--rdzv_endpoint=$HEAD:$PORT"
        "--rdzv_id=${SLURM_JOB_ID:-ovr}")
fi
exec torchrun "${rendezvous[@]}" "--nproc_per_node=$GPUS_PER_NODE" -m verl.trainer.sft_trainer \
    "+ovr=$RECIPE" "trainer.nnodes=$NNODES" "trainer.n_gpus_per_node=$GPUS_PER_NODE" "$@"
