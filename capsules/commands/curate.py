"""`spikerelay curate`: a hand-edited curation applied to a run's units, to new files beside the run's own."""

from __future__ import annotations

import argparse
import shutil
import warnings
from pathlib import Path
from typing import Any

from capsules.commands.curation_file import check_labels, checked_curation, name_new_units, new_units, read_curation
from capsules.common.errors import Rejected
from capsules.common.patches.template_metrics import mend_template_metrics
from capsules.common.tasks.resources import use_numba_cache
from capsules.common.units.metric_names import METRIC_EXTENSIONS
from capsules.common.units.metrics import LABELS, labels_of, metrics_table, write_table
from capsules.common.untrusted.places import inside
from capsules.results.published import choose_recording, load_labelled_analyzer, reject_existing, whole_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path)
    parser.add_argument("--apply", type=Path, required=True, metavar="FILE", help="curation.json, edited")
    parser.add_argument("--recording", metavar="ID", help="needed when several have units")
    parser.add_argument("--output", type=Path, metavar="DIR", help="[default: RESULTS/hand_curated/ID]")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    results, file = arguments.results, arguments.apply
    id = choose_recording(results, arguments.recording)
    output = arguments.output or inside(results, results / "hand_curated" / id)
    reject_existing(output)
    document = read_curation(file)
    use_numba_cache()
    from spikeinterface.curation.curation_format import curation_label_to_vectors

    from capsules.commands.nwb_replace import block_of, names_in, replace_units

    analyzer, block = load_labelled_analyzer(results, id), block_of(results, id)
    curation = checked_curation(document, file, id, [unit.item() for unit in analyzer.unit_ids])
    taken = {*metrics_table(analyzer), *analyzer.sorting.get_property_keys(), *names_in(block)} - set(LABELS)
    check_labels(curation, file, taken)
    name_new_units(curation, file, analyzer.sorting)
    edited, by_hand = applied(analyzer, curation), list(curation_label_to_vectors(curation))
    with whole_folder(output) as folder:
        edited.sorting.save(folder=folder / "curated")
        shutil.copyfile(file, folder / "curation.json")
        write_table(labels_of(edited.sorting, [*LABELS, *by_hand]), metrics_table(edited), folder / "metrics.csv")
        if block is not None:
            replace_units(block, folder / block.name, results, id, analyzer, edited, by_hand)
    new = [str(unit) for unit in new_units(curation)]
    print(f"{id}: {analyzer.get_num_units()} units became {edited.get_num_units()}, in {output}")
    if new:
        print(
            f"New units: {', '.join(new)}. Their waveforms and metrics come from what was saved, not from the traces."
        )
        for name, columns in empty_for(edited, new).items():
            print(f"Without a value for some of them, {name}: {', '.join(columns)}")
    if block is None:
        print("No NWB file of the results holds these units, so none was written.")
    return 0


def applied(analyzer: Any, curation: Any) -> Any:
    """The analyzer with labels set and units removed, merged and split by SpikeInterface.

    Merged units keep the channels that all their parts have; what can be computed without traces is computed anew.

    Raises
    ------
    Rejected
        When units of a merge have no channel in common.
    """
    from spikeinterface.curation import apply_curation

    for merge in curation.merges:
        if not analyzer.sparsity.mask[analyzer.sorting.ids_to_indices(merge.unit_ids)].all(axis=0).any():
            raise Rejected([f"units {', '.join(map(str, merge.unit_ids))} have no channel in common: not to be merged"])
    mend_template_metrics()
    with warnings.catch_warnings():
        # Of metrics that new units have no value for, which `run` tells.
        warnings.simplefilter("ignore", UserWarning)
        return apply_curation(analyzer, curation, sparsity_overlap=0)


def empty_for(analyzer: Any, units: list[str]) -> dict[str, list[str]]:
    """Extension -> metrics that are NaN for some of the units."""
    rows = [unit for unit in analyzer.unit_ids if str(unit) in units]
    computed = [name for name in METRIC_EXTENSIONS if analyzer.has_extension(name)]
    tables = {name: analyzer.get_extension(name).get_data().loc[rows] for name in computed}
    found = {name: [str(column) for column in table if table[column].isna().any()] for name, table in tables.items()}
    return {name: columns for name, columns in found.items() if columns}
