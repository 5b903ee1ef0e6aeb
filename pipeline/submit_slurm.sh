#!/bin/bash
# A run as a job of its own, which submits the others and waits for them (docs/cluster.md).
#   DATA_PATH=/shared/session RESULTS_PATH=/shared/results SPIKERELAY=/shared/spikerelay \
#       sbatch /shared/spikerelay/pipeline/submit_slurm.sh --sorter kilosort4 --n_gpus 4 --slurm_gpu_queue gpu
# SPIKERELAY is the checkout, or the Python environment in which pip installed SpikeRelay. Copy this file and set what
# your cluster needs. The folder in which it is submitted is where `-resume` finds the run again.
#SBATCH --job-name=spikerelay
#SBATCH --output=spikerelay-%j.log
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=7-00:00:00
# Five minutes before the time is over, Nextflow is told to cancel its jobs and end.
#SBATCH --signal=B:TERM@300
set -euo pipefail
: "${SPIKERELAY:?set it to the folder of your checkout, or of the environment in which pip installed SpikeRelay}"
if [ -x "$SPIKERELAY/bin/spikerelay" ]; then
    export SPIKERELAY_PYTHON=$SPIKERELAY/bin/python
    SPIKERELAY=$("$SPIKERELAY_PYTHON" -P -c 'from capsules.common.installation import ROOT; print(ROOT)')
fi
export NXF_OPTS=${NXF_OPTS:--Xms256m -Xmx2g}
exec "$SPIKERELAY/nextflow" -C "$SPIKERELAY/nextflow_slurm.config" run "$SPIKERELAY/main_multi_backend.nf" \
    -ansi-log false "$@"
