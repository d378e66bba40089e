#!/bin/bash
# One command on several nodes, as a Ray cluster that lives as long as the job:
#   sbatch docs/slurm-ray.sh embed my-images --model chexzero --out vectors --engine ray
#SBATCH --job-name=medvlm-ray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=01:00:00
set -euo pipefail
source .venv/bin/activate
export RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')  # who reaches the port without it runs nothing
export RAY_AUTH_TOKEN
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RAY_ADDRESS="$head:6379"
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --port=6379 --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if ((SLURM_NNODES > 1)); then
    srun --nodes="$((SLURM_NNODES - 1))" --ntasks="$((SLURM_NNODES - 1))" --exclude="$head" --overlap \
        ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
    sleep 20
fi
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap medvlm-lab "$@"
