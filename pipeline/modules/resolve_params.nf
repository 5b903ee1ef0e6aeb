// Check all options, params and folders; never cached, so that every run is checked.
process RESOLVE_PARAMS {
    cache false
    executor 'local'

    input:
    val options

    output:
    path 'resolved.json'

    script:
    """
    cat > options.json <<'SPIKERELAY_JSON'
    ${options}
    SPIKERELAY_JSON
    python -m capsules.resolve_params --options options.json --launch-folder "\$NXF_LAUNCH_FOLDER" --output resolved.json
    """
}
