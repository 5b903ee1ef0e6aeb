#!/usr/bin/env nextflow
// SpikeRelay: raw recordings in, curated units, figures and NWB files out. Wiring only: the work is in capsules/.

include { RESOLVE_PARAMS } from './pipeline/modules/resolve_params'
include { JOB_DISPATCH ; dispatched ; rejection } from './pipeline/modules/job_dispatch'
include { INCOMPLETE ; OVERVIEW } from './pipeline/modules/overview'
include { json_list ; read_json ; to_json } from './pipeline/modules/json'
include { CAPSULE as EVENTS ; key_of ; tasks } from './pipeline/modules/capsule'
include { RECORDINGS } from './pipeline/workflows/recordings'
include { NWB_FILES } from './pipeline/workflows/nwb_files'
include { SESSION_RESULTS ; release } from './pipeline/workflows/session_results'

// The process's resolved parameters, or the end of the run with every problem that they have.
def checked(resolved, gpus) {
    if (resolved.problems) {
        error(resolved.problems.join('\n'))
    }
    // The cores of a task depend on it. Not an input: inputs are hashed.
    System.setProperty('spikerelay.sorts_on_gpu', "${gpus > 0 && resolved.sessions.any { run -> run.sorters.any { sorter -> sorter.gpu } }}")
    return resolved
}

workflow {
    // Without a default in the configuration: the strict parser of 25.04 reads there the default, not the command line.
    if (params.containsKey('help')) {
        println(file("${projectDir}/pipeline/help.txt").text)
        return
    }
    gpus = "${params.n_gpus}".isInteger() ? "${params.n_gpus}".toInteger() : 0
    options = [options: params, launch_folder: "${workflow.launchDir}", container_engine: workflow.containerEngine]
    options += [resumed: workflow.resume, results_held_by: System.getProperty('spikerelay.results_held_by'), moved_aside: System.getProperty('spikerelay.moved_aside')]
    options += [config_files: workflow.configFiles.collect { file -> "${file}" }, profile: workflow.profile, nextflow_session: "${workflow.sessionId}"]
    RESOLVE_PARAMS(to_json(options))
    resolved = RESOLVE_PARAMS.out.map { file -> checked(read_json(file), gpus) }
    // (session, run): a row for each session of the sheet; without one, the session has no name.
    runs = resolved.flatMap { all -> all.sessions }.map { run -> tuple(run.session, run) }

    JOB_DISPATCH(runs.map { session, run -> tuple(session, run.data, run.sections.job_dispatch, run.disk) })
    answers = JOB_DISPATCH.out.map { session, folder -> tuple(session, folder, rejection(session, folder)) }
    rejected = answers.filter { _session, _folder, reason -> reason }.map { session, _folder, reason -> tuple(session, reason) }
    // (session, jobs), and (meta, job) of each recording.
    sessions = answers.map { session, folder, reason -> tuple(session, dispatched(session, folder, reason)) }
    jobs = sessions.flatMap { _session, all -> all }
    blocks = sessions.flatMap { session, all ->
        all.groupBy { meta, _job -> meta.block }.collect { block, recordings ->
            def metas = recordings.collect { meta, _job -> meta }
            def meta = [session: session, id: block, megabytes: metas.megabytes.sum(), channels: metas.channels.sum()]
            tuple(meta, recordings.collect { _meta, job -> job })
        }
    }

    EVENTS(tasks('events', blocks.map { block, recordings -> tuple(block, json_list(recordings.collect { job -> job.lines }), []) }, runs))
    // With the remainder: a block whose events failed has a file, and its recordings are shown, without them.
    withEvents = blocks
        .join(EVENTS.out.folder, remainder: true)
        .map { block, recordings, events -> tuple(block, json_list(recordings.collect { job -> job.whole }), events == null ? [] : [events]) }
    RECORDINGS(jobs, withEvents.map { block, _jobs, events -> tuple(key_of(block.session, block.id), [folders: events]) }, runs, gpus)
    NWB_FILES(withEvents, RECORDINGS.out.sortings, RECORDINGS.out.curated, runs)
    SESSION_RESULTS(sessions, EVENTS.out.folder.mix(RECORDINGS.out.folders, NWB_FILES.out.folders), runs)

    // As text: `--release_intermediates false` may arrive as one, and a text that is not empty counts as true.
    if ("${params.release_intermediates}" == 'true') {
        // Once everything is published.
        ended = SESSION_RESULTS.out.done.toList()
        workflow.onComplete { ended.val.each { session, folders -> release(session, folders) } }
    }
    failedBlocks = SESSION_RESULTS.out.statuses.flatMap { session, status ->
        status.blocks.findAll { _block, entry -> entry.status == 'failed' }.keySet().collect { block -> tuple(session, block) }
    }
    INCOMPLETE(failedBlocks.mix(rejected.map { session, _reason -> tuple(session, session) }))
    if (params.sessions) {
        OVERVIEW(
            SESSION_RESULTS.out.folder.map { _session, folder -> folder }.toSortedList { a, b -> a.name <=> b.name },
            resolved.combine(rejected.toList().map { all -> [all.collectEntries { session, reason -> [session, reason] }] }).map { all, reasons ->
                to_json([sessions: all.sessions.collectEntries { run -> [run.session, run.data] }, reasons: reasons, notes: all.notes])
            },
        )
        OVERVIEW.out.summary.view { file -> "\n${file.text.trim()} -> ${System.getenv('RESULTS_PATH')}/sessions.html" }
    }
    else {
        SESSION_RESULTS.out.folder.view { _session, folder -> "\n${folder.resolve('summary.txt').text.trim()} -> ${System.getenv('RESULTS_PATH')}/report.html" }
    }
}
