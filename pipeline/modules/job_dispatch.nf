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

def job_without(job, keys) {
    return to_json(job.findAll { key, _value -> !(key in keys) })
}

// (meta, job) of each recording of a session. A job is its JSON in several forms, by what depends on it:
//   whole   has all, also the files that describe the session, which only the NWB export reads;
//   traces  has what preprocessing and sorting need: a changed file, or another way to synchronise, sorts nothing anew;
//   timed   has the map to the reference clock as well;
//   units   has that and the electrodes' locations, which are often known only months later;
//   lines   has that map and the streams with digital lines.
def dispatched(session, folder, reason) {
    def jobs = reason ? [] : read_json(folder.resolve('jobs.json'))
    // The configuration divides the cores by this number. Not an input: inputs are hashed, and a further recording would run all
    // tasks again.
    System.setProperty('spikerelay.recordings', "${Integer.getInteger('spikerelay.recordings', 0) + jobs.size()}")
    return jobs.collect { job ->
        def places = ['electrode_locations', 'locations_file']
        def forms = [
            whole: to_json(job),
            traces: job_without(job, ['metadata_files', 'event_sources', 'alignment'] + places),
            timed: job_without(job, ['metadata_files', 'event_sources'] + places),
            units: job_without(job, ['metadata_files', 'event_sources']),
            lines: job_without(job, ['metadata_files'] + places),
        ]
        def meta = [session: session, id: job.id, block: job.block, megabytes: job.megabytes, channels: job.num_channels]
        tuple(meta, forms)
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
