// What the run says at its end: all sessions of a sheet in one page, and the exit code.

include { place_of } from './capsule'

def overview_command(run) {
    return """
    cat > run.json <<'SPIKERELAY_JSON'
    ${run}
    SPIKERELAY_JSON
    python -m capsules.results.overview --run run.json --inputs inputs
    """.stripIndent()
}

// All sessions of a sheet at one glance.
process OVERVIEW {
    label 'one_core'
    label 'whole_run'
    label 'in_image'
    publishDir(
        path: System.getenv('RESULTS_PATH') ?: 'results',
        mode: 'copy',
        overwrite: true,
        saveAs: { name -> name.startsWith('sessions') ? name : null },
    )

    input:
    path folders, stageAs: 'inputs/*'
    val run

    output:
    path 'sessions.{json,html}', emit: published
    path 'summary.txt', emit: summary

    script:
    overview_command(run)

    stub:
    overview_command(run)
}

// The task of a block that is only partly written ends well for Nextflow. This one fails in its place, so that the exit code is 1.
process INCOMPLETE {
    label 'one_core'
    cache false

    tag "${place_of(session_name)}${block}"

    input:
    tuple val(session_name), val(block)

    script:
    "exit 1"

    stub:
    "exit 1"
}
