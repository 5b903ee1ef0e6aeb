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
include { RESULTS ; INCOMPLETE ; OVERVIEW } from './pipeline/modules/results'

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

// Why a session has no jobs, or null; without a sheet, the end of the run with the reason.
def refusal(session, folder) {
    def record = readJson(folder.resolve('stage.json'))
    def disk = folder.resolve('disk.json')
    def reason = record.status == 'failed' ? record.reason : disk.exists() ? readJson(disk).refused : null
    if (reason && !session) {
        error(reason)
    }
    return reason
}

// The session's jobs.
def dispatched(session, folder, reason) {
    def jobs = reason ? [] : readJson(folder.resolve('jobs.json'))
    // The configuration divides the cores over this many recordings; it is no input, so it makes no task new.
    System.setProperty('spikerelay.recordings', "${Integer.getInteger('spikerelay.recordings', 0) + jobs.size()}")
    return jobs.collect { job ->
        def meta = [session: session, id: job.id, block: job.block, megabytes: job.megabytes, channels: job.num_channels]
        // The files that tell about the session are the NWB export's alone: a changed one sorts nothing anew.
        def units = job.findAll { key, _value -> key != 'metadata_files' }
        // Where the electrodes lie is often known only months later.
        def traces = units.findAll { key, _value -> !(key in ['electrode_locations', 'locations_file']) }
        def texts = [traces, units, job].collect { part -> groovy.json.JsonOutput.toJson(part) }
        tuple(meta, texts[0], texts[1], texts[2])
    }
}

// A JSON list of JSON texts. A String: Nextflow makes a GString anew for each letter that it hashes.
def list_of(texts) {
    return "[${texts.toSorted().join(', ')}]".toString()
}

// A stage's section; sorting has one for each sorter.
def section_of(run, stage, meta) {
    return stage == 'spikesorting' ? run.sorters.find { sorter -> sorter.name == meta.sorter }.section : run.sections[stage]
}

// Rows (meta, jobs, folders) with the section and the fingerprint of code that a stage has in their session.
def tasks(rows, runs, stage) {
    return rows
        .map { meta, jobs, folders -> tuple(meta.session, meta, jobs, folders) }
        .combine(runs, by: 0)
        .map { _session, meta, jobs, folders, run -> tuple(meta, jobs, section_of(run, stage, meta), run.code[stage], run.data, folders) }
}

// The folder in the results that a session has; without a sheet, the results themselves.
def results(session) {
    return new File(System.getenv('RESULTS_PATH'), session)
}

// What failing tasks left: they emit nothing, so this is read when everything else is there.
def failures(session) {
    def files = new File(results(session), 'nextflow/failed').listFiles() ?: []
    return groovy.json.JsonOutput.toJson(files.findAll { file -> file.name.endsWith('.json') }.sort().collect { file -> readJson(file) })
}

// A session's work files are removed task by task, first what makes a task count as done: a later -resume takes no half of one.
def release(session, folders) {
    def status = new File(results(session), 'status.json')
    if (!status.exists() || readJson(status).status != 'ok') {
        println("The work files${session ? " of ${session}" : ''} are kept: the run did not end well.")
        return
    }
    folders.each { folder ->
        folder.parent.resolve('.exitcode').delete()
        folder.parent.deleteDir()
    }
    println("The work files${session ? " of ${session}" : ''} are removed (--release_intermediates): -resume would do everything again.")
}

workflow {
    gpus = "${params.n_gpus}".isInteger() ? "${params.n_gpus}".toInteger() : 0
    options = [options: params, launch_folder: "${workflow.launchDir}", container_engine: workflow.containerEngine]
    options += [resumed: workflow.resume, results_held_by: System.getProperty('spikerelay.results_held_by'), moved_aside: System.getProperty('spikerelay.moved_aside')]
    options += [config_files: workflow.configFiles.collect { file -> "${file}" }, profile: workflow.profile, nextflow_session: "${workflow.sessionId}"]
    RESOLVE_PARAMS(groovy.json.JsonOutput.toJson(options))
    whole = RESOLVE_PARAMS.out.map { file -> checked(readJson(file)) }
    // A row for each session of the sheet; without one, the session has no name.
    runs = whole.flatMap { resolved -> resolved.sessions }.map { run -> tuple(run.session, run) }

    JOB_DISPATCH(runs.map { session, run -> tuple(session, run.data, run.sections.job_dispatch, run.disk) })
    answers = JOB_DISPATCH.out.map { session, folder -> tuple(session, folder, refusal(session, folder)) }
    found = answers.map { session, folder, reason -> tuple(session, dispatched(session, folder, reason)) }
    jobs = found.flatMap { _session, all -> all.collect { meta, job, _units, _whole -> tuple(meta, job) } }
    jobsOfUnits = found.flatMap { _session, all -> all.collect { meta, _job, units, _whole -> tuple(meta, units) } }
    blocks = found.flatMap { session, all ->
        all.groupBy { meta, _job, _units, _whole -> meta.block }.collect { block, group ->
            def metas = group.collect { row -> row[0] }
            def meta = [session: session, id: block, megabytes: metas.megabytes.sum(), channels: metas.channels.sum()]
            tuple(meta, list_of(group.collect { row -> row[3] }))
        }
    }

    PREPROCESSING(tasks(jobs.map { meta, job -> tuple(meta, job, []) }, runs, 'preprocessing'))
    // Preprocessed once, sorted by each sorter. A sorting has the recording's id, and the sorter's name when there are several.
    sortings = jobs
        .map { meta, job -> tuple(meta.session, meta, job) }
        .combine(runs, by: 0)
        .flatMap { _session, meta, job, run ->
            run.sorters.collect { sorter -> tuple(meta, meta + [id: meta.id + sorter.suffix, sorter: sorter.name, gpu: sorter.gpu && gpus > 0], job) }
        }
    preprocessed = sortings.combine(PREPROCESSING.out.folder, by: 0).map { _recording, meta, job, traces -> tuple(meta, job, traces) }
    toSort = tasks(preprocessed, runs, 'spikesorting').branch { row ->
        gpu: row[0].gpu
        cpu: true
    }
    SPIKESORTING(toSort.cpu)
    SPIKESORTING_GPU(toSort.gpu)
    spikes = SPIKESORTING.out.folder.mix(SPIKESORTING_GPU.out.folder)
    sortingJobs = sortings.map { _recording, meta, job -> tuple(meta, job) }
    traces = preprocessed.map { meta, _job, folder -> tuple(meta, folder) }
    POSTPROCESSING(tasks(sortingJobs.join(traces).join(spikes).map { meta, job, recording, units -> tuple(meta, job, [recording, units]) }, runs, 'postprocessing'))
    unitJobs = sortings.combine(jobsOfUnits, by: 0).map { _recording, meta, _job, units -> tuple(meta, units) }
    CURATION(tasks(unitJobs.join(POSTPROCESSING.out.folder), runs, 'curation'))
    curated = POSTPROCESSING.out.folder.join(CURATION.out.folder)
    // With the remainder: what failed or was skipped is shown as far as it came.
    reached = sortingJobs.join(traces, remainder: true).join(POSTPROCESSING.out.folder, remainder: true)
    shown = reached.join(CURATION.out.folder, remainder: true).map { row ->
        tuple(row[0], row[1], row.drop(2).findAll { folder -> folder != null })
    }
    VISUALIZATION(tasks(shown, runs, 'visualization'))

    NWB_ECEPHYS(tasks(blocks.map { block, group -> tuple(block, group, []) }, runs, 'nwb_ecephys'))
    // A block's units are complete with its last sorting. Where one failed they never are, and come when all else has ended.
    sortingsOfBlock = sortings.map { _recording, meta, _job -> tuple("${meta.session}/${meta.block}".toString(), meta.id) }.groupTuple()
    unitsOfBlock = curated
        .map { meta, analyzer, units -> tuple("${meta.session}/${meta.block}".toString(), [analyzer, units]) }
        .combine(sortingsOfBlock, by: 0)
        .map { block, folders, ids -> tuple(groupKey(block, ids.size()), folders) }
        .groupTuple(remainder: true)
        .map { block, folders -> tuple("${block}".toString(), folders.flatten().sort { folder -> folder.name }) }
    files = blocks
        .join(NWB_ECEPHYS.out.folder)
        .map { block, group, file -> tuple("${block.session}/${block.id}".toString(), block, group, file) }
        .join(unitsOfBlock, remainder: true)
        .filter { row -> row[1] }
        .map { _id, block, group, file, folders -> tuple(block, group, [file] + (folders ?: [])) }
    NWB_UNITS(tasks(files, runs, 'nwb_units'))

    // A session is complete with its last folder; where a task failed, when all else has ended.
    sizes = found.combine(runs, by: 0).map { session, all, run ->
        def ofBlocks = all.collect { row -> row[0].block }.unique().size() * run.stages.block
        def folders = all.size() * (run.stages.recording + run.sorters.size() * run.stages.sorting) + ofBlocks
        tuple(session, all.collect { row -> row[1] }, run, folders)
    }
    done = PREPROCESSING.out.folder
        .mix(spikes, POSTPROCESSING.out.folder, CURATION.out.folder, VISUALIZATION.out.folder)
        .mix(NWB_ECEPHYS.out.folder, NWB_UNITS.out.folder)
        .map { meta, folder -> tuple(meta.session, folder) }
        .combine(sizes.map { session, _jobs, _run, folders -> tuple(session, folders) }, by: 0)
        .map { session, folder, folders -> tuple(groupKey(session, folders + 1), folder) }
        // One that is always there: a session of which nothing was done has a status too.
        .mix(sizes.map { session, _jobs, _run, folders -> tuple(groupKey(session, folders + 1), null) })
        .groupTuple(remainder: true)
        .map { session, folders -> tuple("${session}".toString(), folders.findAll { folder -> folder != null }.sort { folder -> folder.name }) }
    if (params.release_intermediates) {
        // Once everything is published.
        ended = done.toList()
        workflow.onComplete { ended.val.each { session, folders -> release(session, folders) } }
    }
    RESULTS(
        sizes.join(done).filter { row -> row[1] }.map { session, all, run, _count, folders ->
            tuple(session, list_of(all), folders, failures(session), run.params, run.code.results)
        }
    )
    statuses = RESULTS.out.folder.map { session, folder -> tuple(session, readJson(folder.resolve('status.json'))) }
    refused = answers.filter { row -> row[2] }.map { session, _folder, reason -> tuple(session, reason) }
    INCOMPLETE(
        statuses
            .flatMap { session, status -> status.blocks.findAll { _block, entry -> entry.status == 'failed' }.keySet().collect { block -> tuple(session, block) } }
            .mix(refused.map { session, _reason -> tuple(session, session) })
    )
    if (params.sessions) {
        OVERVIEW(
            RESULTS.out.folder.map { _session, folder -> folder }.toSortedList { a, b -> a.name <=> b.name },
            whole.combine(refused.toList().map { all -> [all.collectEntries { row -> row }] }).map { resolved, reasons ->
                groovy.json.JsonOutput.toJson([sessions: resolved.sessions.collectEntries { run -> [run.session, run.data] }, reasons: reasons, notes: resolved.notes])
            },
        )
        OVERVIEW.out.summary.view { file -> "\n${file.text}\nOverview: ${System.getenv('RESULTS_PATH')}/sessions.html" }
    }
    else {
        RESULTS.out.folder.view { _session, folder -> "\n${folder.resolve('summary.txt').text}\nReport: ${System.getenv('RESULTS_PATH')}/report.html" }
    }
}
