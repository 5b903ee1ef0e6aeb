// One NWB file for each block: its traces at once, its units when all of them are there.

include { key_of ; tasks } from '../modules/capsule'
include { CAPSULE as NWB_ECEPHYS } from '../modules/capsule'
include { CAPSULE as NWB_UNITS } from '../modules/capsule'

workflow NWB_FILES {
    take:
    blocks // (meta, jobs, folders) of each block: jobs is a JSON list, folders has that of its events, or none
    sortings // meta of each sorting
    curated // (meta, analyzer, units) of each sorting that was curated
    runs // (session, run) of each session

    main:
    NWB_ECEPHYS(tasks('nwb_ecephys', blocks, runs))

    // A block's units are complete with its last sorting. Where one failed they never are, and come when all else has ended.
    sortingsOfBlock = sortings.map { meta -> tuple(key_of(meta.session, meta.block), meta.id) }.groupTuple()
    unitsOfBlock = curated
        .map { meta, analyzer, units -> tuple(key_of(meta.session, meta.block), [analyzer, units]) }
        .combine(sortingsOfBlock, by: 0)
        .map { key, folders, ids -> tuple(groupKey(key, ids.size()), folders) }
        .groupTuple(remainder: true)
        .map { key, folders -> tuple("${key}".toString(), folders.flatten().sort { folder -> folder.name }) }
    files = blocks
        .join(NWB_ECEPHYS.out.folder)
        .map { meta, jobs, _events, file -> tuple(key_of(meta.session, meta.id), [meta: meta, jobs: jobs, file: file]) }
        .join(unitsOfBlock, remainder: true)
        // A block whose file failed has units and no file.
        .filter { _key, block, _folders -> block != null }
        .map { _key, block, folders -> tuple(block.meta, block.jobs, [block.file] + (folders ?: [])) }
    NWB_UNITS(tasks('nwb_units', files, runs))

    folders = NWB_ECEPHYS.out.folder.mix(NWB_UNITS.out.folder)

    emit:
    folders // (meta, folder) of every task
}
