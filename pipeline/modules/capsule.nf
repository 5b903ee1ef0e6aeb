// Any stage: the alias under which it is included names the capsule that runs.
// `jobs` is the JSON of the job (or of a block's jobs); `code` makes the task new when the capsule's code or libraries are.

def capsule_name(process_name) {
    return process_name.tokenize(':').last().toLowerCase().replace('_gpu', '')
}

// Where a session of a sheet has its results, below those of the run.
def place_of(session) {
    return session ? "${session}/" : ''
}

// A block of a session: ids are unique within a session only.
def key_of(session, block) {
    return "${session}/${block}".toString()
}

// The data and results folders of a session of a sheet; without one, they are those that Nextflow was given.
def session_environment(session, data) {
    return session ? """
    IFS= read -r DATA_PATH <<'SPIKERELAY_PATH'
    ${data}
    SPIKERELAY_PATH
    export DATA_PATH RESULTS_PATH="\$RESULTS_PATH/${session}"
    """ : ''
}

def capsule_command(capsule, meta, jobs, section, data, cpus, options) {
    return """
    ${session_environment(meta.session, data)}
    cat > job.json <<'SPIKERELAY_JSON'
    ${jobs}
    SPIKERELAY_JSON
    cat > params.json <<'SPIKERELAY_JSON'
    ${section}
    SPIKERELAY_JSON
    python -m capsules.${capsule} --id='${meta.id}' --job job.json --params params.json --data "\$DATA_PATH" \\
        --inputs inputs --publish publish --n-jobs ${cpus} ${options}
    """.stripIndent()
}

// What the contract and the sorters say (`make generate`).
def contract() {
    return new groovy.json.JsonSlurperClassic().parse(new File("${projectDir}/pipeline/stages.json"))
}

// The container image of a sorting task whose sorter has one (pipeline/Dockerfile); null for every other task.
def image_of(section) {
    def sorter = new groovy.json.JsonSlurperClassic().parseText(section).sorter
    if (!(sorter in contract().sorters_with_image)) {
        return null
    }
    def tag = new File("${projectDir}/capsule_versions.env").readLines().find { line -> line.startsWith('CONTAINER_TAG=') }
    return "spikerelay-${sorter}:${tag.tokenize('=')[1]}"
}

// The cores of a task on a machine of so many, which the recordings share. Of four or more, one is left for the tasks
// that take one: an NWB file neither waits for a sorting nor delays one.
def cores_of(capsule, meta, cores, gpus) {
    def recordings = Math.max(1, Integer.getInteger('spikerelay.recordings', 1))
    // More than half: one recording is preprocessed after the other, so that a GPU sorts the first while the next is preprocessed.
    def preprocessing = cores.intdiv(2) + 1
    if (recordings > 1 && cores > 3 && Boolean.getBoolean('spikerelay.sorts_on_gpu')) {
        if (capsule == 'preprocessing') {
            return preprocessing
        }
        if (meta.gpu) {
            return Math.max(1, (cores - preprocessing - 1).intdiv(gpus))
        }
    }
    return Math.max(1, (cores > 3 ? cores - 1 : cores).intdiv(recordings))
}

// What a first attempt asks for: memory in MB, time in seconds, one core or its cores on a machine of so many and its GPUs.
def size_of(capsule, meta) {
    def size = contract().stages[capsule]
    def per_megabyte = meta.gpu && size.gpu_seconds_per_megabyte ? size.gpu_seconds_per_megabyte : size.seconds_per_megabyte
    return [
        cores: { cores, gpus -> size.one_core ? 1 : cores_of(capsule, meta, cores, gpus) },
        memory_mb: (size.memory_mb + size.memory_mb_per_channel * meta.channels).longValue(),
        seconds: (60 * size.minutes + per_megabyte * meta.megabytes).longValue(),
        one_core: size.one_core,
    ]
}

// A stage's section; sorting has one for each sorter.
def section_of(run, stage, meta) {
    return stage == 'spikesorting' ? run.sorters.find { sorter -> sorter.name == meta.sorter }.section : run.sections[stage]
}

// The inputs of CAPSULE from rows (meta, jobs, folders): with the section and the fingerprint of code that the stage has in their session.
def tasks(stage, rows, runs) {
    return rows
        .map { meta, jobs, folders -> tuple(meta.session, meta, jobs, folders) }
        .combine(runs, by: 0)
        .map { _session, meta, jobs, folders, run -> tuple(meta, jobs, section_of(run, stage, meta), run.code[stage], run.data, folders) }
}

process CAPSULE {
    // publish/ holds hard links named for their places in the results, with % for /. A further link costs no copy,
    // but needs one file system.
    publishDir(
        path: System.getenv('RESULTS_PATH') ?: 'results',
        mode: new File(System.getenv('RESULTS_PATH') ?: 'none').exists() && java.nio.file.Files.getFileStore(new File(System.getenv('RESULTS_PATH')).toPath()) == java.nio.file.Files.getFileStore(workflow.workDir) ? 'link' : 'copy',
        overwrite: true,
        saveAs: { name -> name.startsWith('publish/') ? place_of(meta.session) + name.substring(8).replace('%', '/') : null },
    )
    tag "${place_of(meta.session)}${meta.id}"
    label 'capsule'
    label 'in_image'
    // For the sizes and the image in the configuration, which sees only `task`.
    ext size: { size_of(capsule_name(task.process), meta) }, image: { image_of(section) }

    input:
    tuple val(meta), val(jobs), val(section), val(code), val(data), path(inputs, stageAs: 'inputs/*')

    output:
    tuple val(meta), path("${capsule}_${meta.id}"), emit: folder
    path 'publish/*', emit: published

    script:
    capsule = capsule_name(task.process)
    capsule_command(capsule, meta, jobs, section, data, task.cpus, '')

    stub:
    capsule = capsule_name(task.process)
    capsule_command(capsule, meta, jobs, section, data, task.cpus, '--stub-run')
}
