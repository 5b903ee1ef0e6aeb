// Find the recordings; never cached, so that changed data is seen.

def job_dispatch_command(section, cpus) {
    return """
    cat > params.json <<'SPIKERELAY_JSON'
    ${section}
    SPIKERELAY_JSON
    python -m capsules.job_dispatch --id run --params params.json --data "\$DATA_PATH" --n-jobs ${cpus} \\
        || { code=\$?; [ \$code -eq 1 ] && [ -e job_dispatch_run/stage.json ] || exit \$code; }
    """.stripIndent()
}

process JOB_DISPATCH {
    cache false

    input:
    val section

    output:
    path 'job_dispatch_run'

    script:
    job_dispatch_command(section, task.cpus)

    stub:
    job_dispatch_command(section, task.cpus)
}
