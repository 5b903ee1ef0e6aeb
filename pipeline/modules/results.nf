// Status, record and report of the whole run; `failures` holds what the failed tasks left.

def results_command(jobs, failures, run_params) {
    return """
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
    python -m capsules.results --id run --job job.json --inputs inputs --publish publish
    """.stripIndent()
}

process RESULTS {
    // publish/ holds hard links named for their places in the results, with % for /. A further link costs no copy,
    // but needs one file system.
    publishDir(
        path: System.getenv('RESULTS_PATH') ?: 'results',
        mode: new File(System.getenv('RESULTS_PATH') ?: 'none').exists() && java.nio.file.Files.getFileStore(new File(System.getenv('RESULTS_PATH')).toPath()) == java.nio.file.Files.getFileStore(workflow.workDir) ? 'link' : 'copy',
        overwrite: true,
        saveAs: { name -> name.startsWith('publish/') ? name.substring(8).replace('%', '/') : null },
    )

    input:
    val jobs
    path folders, stageAs: 'inputs/*'
    val failures
    val run_params
    val code

    output:
    path 'publish/*', emit: published
    path 'results_run/summary.txt', emit: summary
    path 'results_run/status.json', emit: status

    script:
    results_command(jobs, failures, run_params)

    stub:
    results_command(jobs, failures, run_params)
}

// A task that wrote what it could has not failed for Nextflow: this one does, so that the exit code tells.
process INCOMPLETE {
    cache false

    input:
    val block

    script:
    "exit 1"

    stub:
    "exit 1"
}
