#!/bin/bash
# All chapters on one node: sbatch docs/slurm-chapters.sh, from the clone. Add --gres=gpu:1 and --device cuda for a GPU.
#SBATCH --job-name=medvlm-chapters
#SBATCH --nodes=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=00:30:00
set -euo pipefail
source .venv/bin/activate
medvlm-lab chapters run --jobs "$((SLURM_CPUS_PER_TASK / 2))" --report "chapters-$SLURM_JOB_ID"
