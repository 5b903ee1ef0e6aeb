#!/usr/bin/env nextflow
// SpikeRelay: raw recordings in, curated units, figures and NWB files out. Wiring only: the work is in capsules/.

include { RESOLVE_PARAMS } from './pipeline/modules/resolve_params'
include { JOB_DISPATCH } from './pipeline/modules/job_dispatch'
include { CAPSULE as PREPROCESSING } from './pipeline/modules/capsule'
include { CAPSULE as SPIKESORTING } from './pipeline/modules/capsule'
include { CAPSULE as SPIKESORTING_GPU } from './pipeline/modules/capsule'
include { CAPSULE as POSTPROCESSING } from './pipeline/modules/capsule'
include { CAPSULE as CURATION } from './pipeline/modules/capsule'
include { CAPSULE as VISUALIZATION } from './pipeline/modules/capsule'
include { CAPSULE as NWB_ECEPHYS } from './pipeline/modules/capsule'
include { CAPSULE as NWB_UNITS } from './pipeline/modules/capsule'
include { RESULTS ; INCOMPLETE } from './pipeline/modules/results'

def readJson(file) {
    // The classic one: the other gives maps that fill themselves when read, which several threads at once must not.
    return new groovy.json.JsonSlurperClassic().parseText(file.text)
}

// The process's resolved parameters, or the end of the run with every problem that was found.
def checked(resolved) {
    if (resolved.problems) {
        error(resolved.problems.join('\n'))
    }
    return resolved
}

// The jobs that job dispatch wrote, or the end of the run with the reason why there are none.
def dispatched(folder) {
    def record = readJson(folder.resolve('stage.json'))
    if (record.status == 'failed') {
        error(record.reason)
    }
    def disk = folder.resolve('disk.json')
    if (disk.exists() && readJson(disk).refused) {
        error(readJson(disk).refused)
    }
    def jobs = readJson(folder.resolve('jobs.json'))
    // The configuration divides the cores over this many recordings; it is no input, so it makes no task new.
    System.setProperty('spikerelay.recordings', "${jobs.size()}")
    return jobs.collect { job ->
        def meta = [id: job.id, block: job.block, megabytes: job.megabytes, channels: job.num_channels]
        // The files that tell about the session are the NWB export's alone: a changed one sorts nothing anew.
        def traces = job.findAll { key, _value -> key != 'metadata_files' }
        tuple(meta, groovy.json.JsonOutput.toJson(traces), groovy.json.JsonOutput.toJson(job))
    }
}

// A stage's resolved section, and the fingerprint of its code and libraries.
def section(resolved, stage) {
    return resolved.map { run -> run.sections[stage] }
}

def code(resolved, stage) {
    return resolved.map { run -> run.code[stage] }
}

// What failing tasks left: they emit nothing, so this is read when everything else is there.
def failures() {
    def folder = new File(System.getenv('RESULTS_PATH'), 'nextflow/failed')
    def files = folder.listFiles() ?: []
    return groovy.json.JsonOutput.toJson(files.findAll { file -> file.name.endsWith('.json') }.sort().collect { file -> readJson(file) })
}

// Work files are removed task by task, first what makes a task count as done: a later -resume takes no half of one.
def release(done) {
    def status = new File(System.getenv('RESULTS_PATH'), 'status.json')
    if (!workflow.success || readJson(status).status != 'ok') {
        println('The work files are kept: the run did not end well.')
        return
    }
    done.val.each { folder ->
        folder.parent.resolve('.exitcode').delete()
        folder.parent.deleteDir()
    }
    println('The work files are removed (--release_intermediates): -resume would do everything again.')
}

workflow {
    gpus = "${params.n_gpus}".isInteger() ? "${params.n_gpus}".toInteger() : 0
    options = [options: params, launch_folder: "${workflow.launchDir}", container_engine: workflow.containerEngine]
    options += [resumed: workflow.resume, results_held_by: System.getProperty('spikerelay.results_held_by')]
    RESOLVE_PARAMS(groovy.json.JsonOutput.toJson(options))
    resolved = RESOLVE_PARAMS.out.map { file -> checked(readJson(file)) }

    JOB_DISPATCH(section(resolved, 'job_dispatch'), resolved.map { run -> run.disk })
    found = JOB_DISPATCH.out.map { folder -> dispatched(folder) }.flatMap()
    jobs = found.map { meta, job, _whole -> tuple(meta, job) }
    blocks = found
        .map { meta, _job, whole -> tuple([id: meta.block], meta.megabytes, meta.channels, whole) }
        .groupTuple()
        .map { block, megabytes, channels, group ->
            tuple(block + [megabytes: megabytes.sum(), channels: channels.sum()], "[${group.sort().join(', ')}]")
        }

    PREPROCESSING(jobs.map { meta, job -> tuple(meta, job, []) }, section(resolved, 'preprocessing'), code(resolved, 'preprocessing'))
    // Preprocessed once, sorted by each sorter. A sorting has the recording's id, and the sorter's name when there are several.
    sortings = jobs
        .combine(resolved.map { run -> run.sorters }.flatMap())
        .map { meta, job, sorter ->
            tuple(meta, meta + [id: meta.id + sorter.suffix, sorter: sorter.name, gpu: sorter.gpu && gpus > 0], job, sorter.section)
        }
    preprocessed = sortings.combine(PREPROCESSING.out.folder, by: 0).map { _recording, meta, job, params, traces -> tuple(meta, job, params, traces) }
    toSort = preprocessed.branch { row ->
        gpu: row[0].gpu
        cpu: true
    }
    onCpu = toSort.cpu.multiMap { meta, job, params, traces ->
        task: tuple(meta, job, traces)
        section: params
    }
    onGpu = toSort.gpu.multiMap { meta, job, params, traces ->
        task: tuple(meta, job, traces)
        section: params
    }
    SPIKESORTING(onCpu.task, onCpu.section, code(resolved, 'spikesorting'))
    SPIKESORTING_GPU(onGpu.task, onGpu.section, code(resolved, 'spikesorting'))
    spikes = SPIKESORTING.out.folder.mix(SPIKESORTING_GPU.out.folder)
    sortingJobs = sortings.map { _recording, meta, job, _params -> tuple(meta, job) }
    traces = preprocessed.map { meta, _job, _params, folder -> tuple(meta, folder) }
    POSTPROCESSING(
        sortingJobs.join(traces).join(spikes).map { meta, job, recording, units -> tuple(meta, job, [recording, units]) },
        section(resolved, 'postprocessing'),
        code(resolved, 'postprocessing'),
    )
    CURATION(sortingJobs.join(POSTPROCESSING.out.folder), section(resolved, 'curation'), code(resolved, 'curation'))
    curated = POSTPROCESSING.out.folder.join(CURATION.out.folder)
    VISUALIZATION(
        // With the remainder: what failed or was skipped is shown as far as it came.
        sortingJobs.join(traces, remainder: true).join(curated, remainder: true).map { row ->
            tuple(row[0], row[1], row.drop(2).findAll { folder -> folder != null })
        },
        section(resolved, 'visualization'),
        code(resolved, 'visualization'),
    )

    NWB_ECEPHYS(blocks.map { block, group -> tuple(block, group, []) }, section(resolved, 'nwb_ecephys'), code(resolved, 'nwb_ecephys'))
    // A block's units are complete with its last sorting. Where one failed they never are, and come when all else has ended.
    sortingsOfBlock = sortings.map { _recording, meta, _job, _params -> tuple(meta.block, meta.id) }.groupTuple()
    unitsOfBlock = curated
        .map { meta, analyzer, units -> tuple(meta.block, [analyzer, units]) }
        .combine(sortingsOfBlock, by: 0)
        .map { block, folders, ids -> tuple(groupKey(block, ids.size()), folders) }
        .groupTuple(remainder: true)
        .map { block, folders -> tuple("${block}".toString(), folders.flatten().sort { folder -> folder.name }) }
    files = blocks
        .join(NWB_ECEPHYS.out.folder)
        .map { block, group, file -> tuple(block.id, block, group, file) }
        .join(unitsOfBlock, remainder: true)
        .filter { row -> row[1] }
        .map { _id, block, group, file, folders -> tuple(block, group, [file] + (folders ?: [])) }
    NWB_UNITS(files, section(resolved, 'nwb_units'), code(resolved, 'nwb_units'))

    done = PREPROCESSING.out.folder
        .mix(spikes, POSTPROCESSING.out.folder, CURATION.out.folder, VISUALIZATION.out.folder)
        .mix(NWB_ECEPHYS.out.folder, NWB_UNITS.out.folder)
        .map { _meta, folder -> folder }
        .toSortedList { a, b -> a.name <=> b.name }
    if (params.release_intermediates) {
        // Once everything is published.
        workflow.onComplete { release(done) }
    }
    RESULTS(
        jobs.map { _meta, job -> job }.toSortedList().map { all -> "[${all.join(', ')}]" },
        done,
        done.map { _folders -> failures() },
        resolved.map { run -> run.params },
        code(resolved, 'results'),
    )
    INCOMPLETE(RESULTS.out.status.flatMap { file -> readJson(file).blocks.findAll { _block, entry -> entry.status == 'failed' }.keySet() })
    RESULTS.out.summary.view { file -> "\n${file.text}\nReport: ${System.getenv('RESULTS_PATH')}/report.html" }
}
