// Find the recordings, and see that what the run writes for them fits on the disks; never cached, so that changed data is seen.

include { session_environment } from './capsule'

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
