#!/bin/bash

# Parameters
#SBATCH --account=physics
#SBATCH --array=0-2%3
#SBATCH --constraint='a100|h100'
#SBATCH --cpus-per-task=2
#SBATCH --error=/shared/store/jobs/descent-0123abcd/logs/%A_%a_0_log.err
#SBATCH --exclusive
#SBATCH --gpus-per-node=1
#SBATCH --job-name=descent-0123abcd-1
#SBATCH --mem=30517M
#SBATCH --nice=100
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --open-mode=append
#SBATCH --output=/shared/store/jobs/descent-0123abcd/logs/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --reservation=ours
#SBATCH --signal=USR2@120
#SBATCH --time=30

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /shared/store/jobs/descent-0123abcd/logs/%A_%a_%t_log.out --error /shared/store/jobs/descent-0123abcd/logs/%A_%a_%t_log.err --cpus-per-task=2 --kill-on-bad-exit=0 python -u -m submitit.core._submit /shared/store/jobs/descent-0123abcd/logs
