// Any stage: the alias under which it is included names the capsule that runs.
// `jobs` is the JSON of the job (or of a block's jobs); `code` makes the task new when the capsule's code or libraries are.
process CAPSULE {
    tag "${meta.id}"

    input:
    tuple val(meta), val(jobs), path(inputs, stageAs: 'inputs/*')
    val section
    val code

    output:
    tuple val(meta), path("${capsule}_${meta.id}"), emit: folder
    path "${capsule}_${meta.id}/*", emit: parts

    script:
    capsule = task.process.tokenize(':').last().toLowerCase()
    """
    cat > job.json <<'SPIKERELAY_JSON'
    ${jobs}
    SPIKERELAY_JSON
    cat > params.json <<'SPIKERELAY_JSON'
    ${section}
    SPIKERELAY_JSON
    python -m capsules.${capsule} --id '${meta.id}' --job job.json --params params.json --data "\$DATA_PATH" \\
        --inputs inputs --n-jobs ${task.cpus}
    """

    stub:
    capsule = task.process.tokenize(':').last().toLowerCase()
    """
    cat > job.json <<'SPIKERELAY_JSON'
    ${jobs}
    SPIKERELAY_JSON
    python -m capsules.${capsule} --id '${meta.id}' --job job.json --inputs inputs --stub-run
    """
}
