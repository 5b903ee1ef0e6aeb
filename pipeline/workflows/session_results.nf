// The results of each session, as soon as its last task has ended.

include { json_list ; read_json ; to_json } from '../modules/json'
include { RESULTS } from '../modules/results'

// The folder in the results that a session has; without a sheet, the results themselves.
def results_of(session) {
    return new File(System.getenv('RESULTS_PATH'), session)
}

// What failing tasks left: they emit nothing, so this is read when everything else is there.
def failures_of(session) {
    def files = new File(results_of(session), 'nextflow/failed').listFiles() ?: []
    return to_json(files.findAll { file -> file.name.endsWith('.json') }.sort().collect { file -> read_json(file) })
}

// A session's work files are removed task by task, first what makes a task count as done: a later -resume takes no half of one.
def release(session, folders) {
    def status = new File(results_of(session), 'status.json')
    def which = session ? " of ${session}" : ''
    if (!status.exists() || read_json(status).status != 'ok') {
        println("The work files${which} are kept: the run did not end well.")
        return
    }
    folders.each { folder ->
        folder.parent.resolve('.exitcode').delete()
        folder.parent.deleteDir()
    }
    println("The work files${which} are removed (--release_intermediates): -resume would do everything again.")
}

workflow SESSION_RESULTS {
    take:
    sessions // (session, jobs) of each session: jobs is a list of (meta, job), empty where dispatch failed
    folders // (meta, folder) of every task
    runs // (session, run) of each session

    main:
    // A session is complete with its last folder; where a task failed, when all else has ended.
    complete = sessions.combine(runs, by: 0).map { session, jobs, run ->
        def blocks = jobs.collect { meta, _job -> meta.block }.unique().size()
        def sortings = jobs.size() * run.sorters.size()
        tuple(session, jobs.size() * run.stages.recording + sortings * run.stages.sorting + blocks * run.stages.block)
    }
    done = folders
        .map { meta, folder -> tuple(meta.session, folder) }
        .combine(complete, by: 0)
        .map { session, folder, count -> tuple(groupKey(session, count + 1), folder) }
        // One that is always there: a session of which nothing was done has a status too.
        .mix(complete.map { session, count -> tuple(groupKey(session, count + 1), null) })
        .groupTuple(remainder: true)
        .map { session, all -> tuple("${session}".toString(), all.findAll { folder -> folder != null }.sort { folder -> folder.name }) }
    RESULTS(
        sessions
            .filter { _session, jobs -> jobs }
            .join(done)
            .combine(runs, by: 0)
            .map { session, jobs, all, run -> tuple(session, json_list(jobs.collect { _meta, job -> job.whole }), all, failures_of(session), run.params, run.code.results, run.data) }
    )

    folder = RESULTS.out.folder
    statuses = folder.map { session, results -> tuple(session, read_json(results.resolve('status.json'))) }

    emit:
    folder // (session, folder of its results)
    statuses // (session, status.json)
    done // (session, folders of all its tasks)
}
