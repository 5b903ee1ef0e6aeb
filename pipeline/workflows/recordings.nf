// Each recording from its raw traces to curated units and figures. Each goes its own way: nothing waits for another one.

include { key_of ; tasks } from '../modules/capsule'
include { CAPSULE as PREPROCESSING } from '../modules/capsule'
include { CAPSULE as SPIKESORTING } from '../modules/capsule'
include { CAPSULE as SPIKESORTING_GPU } from '../modules/capsule'
include { CAPSULE as POSTPROCESSING } from '../modules/capsule'
include { CAPSULE as CURATION } from '../modules/capsule'
include { CAPSULE as VISUALIZATION } from '../modules/capsule'

workflow RECORDINGS {
    take:
    jobs // (meta, job) of each recording: job.traces, job.timed and job.units are its JSON in the forms of `dispatched`
    events // (key, [folders: ...]) of each block: the folder of its events, or none
    runs // (session, run) of each session
    gpus // how many GPUs there are

    main:
    // The periods that a user lists are on the reference clock.
    toPreprocess = jobs
        .map { meta, job -> tuple(meta.session, meta, job) }
        .combine(runs, by: 0)
        .map { _session, meta, job, run -> tuple(meta, run.lists_times ? job.timed : job.traces, []) }
    PREPROCESSING(tasks('preprocessing', toPreprocess, runs))

    // Preprocessed once, sorted by each sorter. A sorting has the recording's id, and the sorter's name when there are several.
    // (recording, meta, job) of each sorting.
    bySorter = jobs
        .map { meta, job -> tuple(meta.session, meta, job) }
        .combine(runs, by: 0)
        .flatMap { _session, recording, job, run ->
            run.sorters.collect { sorter ->
                def meta = recording + [id: recording.id + sorter.suffix, sorter: sorter.name, gpu: sorter.gpu && gpus > 0]
                tuple(recording, meta, job)
            }
        }
    preprocessed = bySorter.combine(PREPROCESSING.out.folder, by: 0).map { _recording, meta, job, traces -> tuple(meta, job, traces) }
    toSort = tasks('spikesorting', preprocessed.map { meta, job, traces -> tuple(meta, job.traces, traces) }, runs)
    SPIKESORTING(toSort.filter { meta, _job, _section, _code, _data, _folders -> !meta.gpu })
    SPIKESORTING_GPU(toSort.filter { meta, _job, _section, _code, _data, _folders -> meta.gpu })
    spikes = SPIKESORTING.out.folder.mix(SPIKESORTING_GPU.out.folder)

    sorted = preprocessed.join(spikes).map { meta, job, traces, units -> tuple(meta, job.traces, [traces, units]) }
    POSTPROCESSING(tasks('postprocessing', sorted, runs))
    jobsOfSortings = bySorter.map { _recording, meta, job -> tuple(meta, job) }
    toCurate = jobsOfSortings.join(POSTPROCESSING.out.folder).map { meta, job, analyzer -> tuple(meta, job.units, analyzer) }
    CURATION(tasks('curation', toCurate, runs))

    // With the remainder: what failed or was skipped is shown up to the last completed step.
    toShow = jobsOfSortings
        .join(preprocessed.map { meta, _job, traces -> tuple(meta, traces) }, remainder: true)
        .join(POSTPROCESSING.out.folder, remainder: true)
        .join(CURATION.out.folder, remainder: true)
        .map { meta, job, traces, analyzer, units -> tuple(meta, job.timed, [traces, analyzer, units].findAll { folder -> folder != null }) }
    withEvents = toShow
        .map { meta, job, folders -> tuple(key_of(meta.session, meta.block), [meta: meta, job: job, folders: folders]) }
        .combine(events, by: 0)
        .map { _key, shown, block -> tuple(shown.meta, shown.job, shown.folders + block.folders) }
    VISUALIZATION(tasks('visualization', withEvents, runs))

    sortings = jobsOfSortings.map { meta, _job -> meta }
    curated = POSTPROCESSING.out.folder.join(CURATION.out.folder)
    folders = PREPROCESSING.out.folder.mix(spikes, POSTPROCESSING.out.folder, CURATION.out.folder, VISUALIZATION.out.folder)

    emit:
    sortings // meta of each sorting
    curated // (meta, analyzer, units) of each sorting that was curated
    folders // (meta, folder) of every task
}
