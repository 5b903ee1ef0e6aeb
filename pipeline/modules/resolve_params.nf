// Check all options, params and folders; never cached, so that every run is checked.

def resolve_params_command(options) {
    return """
    cat > options.json <<'SPIKERELAY_JSON'
    ${options}
    SPIKERELAY_JSON
    python -m capsules.resolve_params --options options.json --launch-folder "\$SPIKERELAY_LAUNCH_FOLDER"
    """.stripIndent()
}

process RESOLVE_PARAMS {
    cache false
    executor 'local'

    input:
    val options

    output:
    path 'resolved.json'

    script:
    resolve_params_command(options)

    // The same; without a stub, Nextflow 24.10.0 cannot run a process with -stub-run.
    stub:
    resolve_params_command(options)
}
