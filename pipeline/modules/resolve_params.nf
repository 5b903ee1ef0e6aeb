// Check all options, params and folders; never cached, so that every run is checked.

def resolve_params_command(run) {
    return """
    cat > run.json <<'SPIKERELAY_JSON'
    ${run}
    SPIKERELAY_JSON
    python -m capsules.resolve_params --run run.json
    """.stripIndent()
}

process RESOLVE_PARAMS {
    label 'one_core'
    label 'whole_run'
    cache false
    executor 'local'

    input:
    val run

    output:
    path 'resolved.json'

    script:
    resolve_params_command(run)

    // The same; without a stub, Nextflow 24.10.0 cannot run a process with -stub-run.
    stub:
    resolve_params_command(run)
}
