#!/usr/bin/env bash
# Either stage under Slurm: one task on each node runs the script named first. From the checkout,
# with the environment active (it must be on a file system that all nodes see):
#
#   sbatch --nodes=8 --gpus-per-node=8 --exclusive examples/launch/slurm.sh ppo.sh OVERRIDES...
#
#SBATCH --job-name=ovr
#SBATCH --ntasks-per-node=1
#SBATCH --output=slurm-%j.log
set -euo pipefail

script=${1:?usage: sbatch [options] slurm.sh ppo.sh|cold_start.sh [overrides]}
shift
NNODES=$SLURM_JOB_NUM_NODES
read -r HEAD < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export NNODES HEAD
# Slurm copies this file elsewhere, so the other one is looked for where sbatch was called.
srun --ntasks="$NNODES" --ntasks-per-node=1 --kill-on-bad-exit=1 bash -c \
    'export NODE_RANK=$SLURM_PROCID; exec bash "$@"' ovr \
    "${SLURM_SUBMIT_DIR:-.}/examples/launch/$script" "$@"
