// Status, record and report of the whole run; `failures` holds what the failed tasks left.

include { place_of ; session_environment } from './capsule'

def results_command(session, jobs, failures, run_params, data) {
    return """
    ${session_environment(session, data)}
    mkdir -p inputs
    cat > job.json <<'SPIKERELAY_JSON'
    ${jobs}
    SPIKERELAY_JSON
    cat > inputs/failures.json <<'SPIKERELAY_JSON'
    ${failures}
    SPIKERELAY_JSON
    cat > inputs/params.json <<'SPIKERELAY_JSON'
    ${run_params}
    SPIKERELAY_JSON
    python -m capsules.results --id run --job job.json --data "\$DATA_PATH" --inputs inputs --publish publish
    ${session ? "mv results_run results_${session}" : ''}
    """.stripIndent()
}

process RESULTS {
    label 'one_core'
    label 'session'
    label 'in_image'
    // publish/ holds hard links named for their places in the results, with % for /. A further link costs no copy,
    // but needs one file system.
    publishDir(
        path: System.getenv('RESULTS_PATH') ?: 'results',
        mode: new File(System.getenv('RESULTS_PATH') ?: 'none').exists() && java.nio.file.Files.getFileStore(new File(System.getenv('RESULTS_PATH')).toPath()) == java.nio.file.Files.getFileStore(workflow.workDir) ? 'link' : 'copy',
        overwrite: true,
        saveAs: { name -> name.startsWith('publish/') ? place_of(session_name) + name.substring(8).replace('%', '/') : null },
    )

    tag "${session_name ?: 'run'}"

    input:
    tuple val(session_name), val(jobs), path(folders, stageAs: 'inputs/*'), val(failures), val(run_params), val(code), val(data)

    output:
    path 'publish/*', emit: published
    tuple val(session_name), path("results_${session_name ?: 'run'}"), emit: folder

    script:
    results_command(session_name, jobs, failures, run_params, data)

    stub:
    results_command(session_name, jobs, failures, run_params, data)
}
