#!/bin/bash
# One worker of a store, on a GPU of its own: sbatch --array=1-8 examples/slurm_worker.sh /shared/me/store
#SBATCH --job-name=descent-worker
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-task=1
#SBATCH --ntasks=1
#SBATCH --time=04:00:00
#SBATCH --signal=USR2@120
#SBATCH --output=descent-worker-%A_%a.log

# Two minutes before the limit the worker is told to stop: it saves and ends with 75. The job then goes back
# into the queue.
srun descent worker "$1" --cores "$SLURM_CPUS_PER_TASK" "${@:2}"
code=$?
if [ "$code" = 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
