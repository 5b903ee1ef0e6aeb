// Find the recordings, and check that what the run writes fits on the disks. Never cached, so that changed data is seen.

include { session_environment } from './capsule'
include { read_json ; to_json } from './json'

// Why a session has no jobs, or null; without a sheet, the end of the run with the reason.
def rejection(session, folder) {
    def record = read_json(folder.resolve('stage.json'))
    def disk = folder.resolve('disk.json')
    def reason = record.status == 'failed' ? record.reason : disk.exists() ? read_json(disk).rejected : null
    if (reason && !session) {
        error(reason)
    }
    return reason
}

// (meta, job) of each recording of a session. A job is its JSON in three forms, by what depends on it: `whole` has the files that
// describe the session, which only the NWB export reads; `units` has the electrodes' locations, which are often known only
// months later; `traces` has neither. So a changed file sorts nothing anew.
def dispatched(session, folder, reason) {
    def jobs = reason ? [] : read_json(folder.resolve('jobs.json'))
    // The configuration divides the cores by this number. Not an input: inputs are hashed, and a further recording would run all
    // tasks again.
    System.setProperty('spikerelay.recordings', "${Integer.getInteger('spikerelay.recordings', 0) + jobs.size()}")
    return jobs.collect { job ->
        def units = job.findAll { key, _value -> key != 'metadata_files' }
        def traces = units.findAll { key, _value -> !(key in ['electrode_locations', 'locations_file']) }
        def meta = [session: session, id: job.id, block: job.block, megabytes: job.megabytes, channels: job.num_channels]
        tuple(meta, [traces: to_json(traces), units: to_json(units), whole: to_json(job)])
    }
}

def job_dispatch_command(session, data, section, disk, cpus, more) {
    return """
    ${session_environment(session, data)}
    cat > params.json <<'SPIKERELAY_JSON'
    ${section}
    SPIKERELAY_JSON
    cat > disk.json <<'SPIKERELAY_JSON'
    ${disk}
    SPIKERELAY_JSON
    python -m capsules.job_dispatch --id run --params params.json --data "\$DATA_PATH" --n-jobs ${cpus} \\
        || { code=\$?; [ \$code -eq 1 ] && [ -e job_dispatch_run/stage.json ] || exit \$code; }
    ${more}
    """.stripIndent()
}

process JOB_DISPATCH {
    label 'one_core'
    label 'session'
    label 'in_image'
    cache false
    tag "${session_name ?: 'run'}"

    input:
    tuple val(session_name), val(data), val(section), val(disk)

    output:
    tuple val(session_name), path('job_dispatch_run')

    script:
    job_dispatch_command(session_name, data, section, disk, task.cpus, 'python -m capsules.resolve_params.machine.disk disk.json job_dispatch_run "$NXF_TASK_WORKDIR"')

    // Stubs write next to nothing.
    stub:
    job_dispatch_command(session_name, data, section, disk, task.cpus, '')
}
