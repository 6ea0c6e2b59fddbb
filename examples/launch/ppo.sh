#!/usr/bin/env bash
# Stage 2, PPO, on one node or on several with Ray. Run it on every node with the same arguments:
#
#   bash examples/launch/ppo.sh actor_rollout_ref.model.path=/shared/cold_start \
#       data.train_files=/shared/train.parquet data.val_files=/shared/val.parquet \
#       trainer.default_local_dir=/shared/ppo
#
# One node needs nothing else. Several need in the environment NNODES, NODE_RANK (0 on the head) and
# HEAD (its address), all of which slurm.sh sets; paths absolute and seen by all nodes.
# RUN (here; another one for each run) is the folder that `ovr report` reads: logs/, rollouts/ and
# validations/ go there.
# Also: RECIPE (ppo_7b), PORT (6379), METRICS (a file that is appended to), WAIT_S.
set -euo pipefail

RECIPE=${RECIPE:-ppo_7b}
RUN=$(realpath -m "${RUN:-.}")
NNODES=${NNODES:-1}
PORT=${PORT:-6379}
WAIT_S=${WAIT_S:-600} # for the nodes to find each other
METRICS=$(realpath -m "${METRICS:-$RUN/logs/$RECIPE.jsonl}")

train() {
    # The trainer's process may be on any node, so what it reads goes by Ray and not by this shell.
    VERL_FILE_LOGGER_PATH=$METRICS python -m verl.trainer.main_ppo "+ovr=$RECIPE" \
        "trainer.nnodes=$NNODES" "trainer.rollout_data_dir='$RUN/rollouts'" \
        "trainer.validation_data_dir='$RUN/validations'" \
        "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH='$METRICS'" "$@"
}

if ((NNODES == 1)); then
    train "$@"
    exit
fi

: "${NODE_RANK:?set NODE_RANK, 0 on the head}" "${HEAD:?set HEAD, the address of the node of rank 0}"
if ((NODE_RANK > 0)); then
    # --block holds until the head is gone; before it is there, ray start fails and is tried again.
    until ray start --address="$HEAD:$PORT" --block; do
        ((SECONDS < WAIT_S)) || exit 0
        sleep 5
    done
    exit
fi

trap 'ray stop' EXIT
ray start --head --port="$PORT"
until n_alive=$(python -c 'import ray
ray.init(address="auto", log_to_driver=False, logging_level="error")
print(sum(node["Alive"] for node in ray.nodes()))') && ((n_alive >= NNODES)); do
    if ((SECONDS >= WAIT_S)); then
        echo "only ${n_alive:-0} of $NNODES nodes have joined after $WAIT_S s" >&2
        exit 1
    fi
    sleep 5
done
train +ray_kwargs.ray_init.address=auto "$@"
