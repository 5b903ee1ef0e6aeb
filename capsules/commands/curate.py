"""`spikerelay curate`: apply the user's edited curation to a run's units, and write new files."""

from __future__ import annotations

import argparse
import shutil
import warnings

from spikeinterface import SortingAnalyzer
from spikeinterface.curation.curation_format import apply_curation, curation_label_to_vectors
from spikeinterface.curation.curation_model import Curation

from capsules.commands.curation_file import check_labels, name_new_units, new_units, parse_curation, read_curation
from capsules.commands.nwb_replace import block_of, column_names, replace_units
from capsules.common.errors import Rejected
from capsules.common.patches.template_metrics import mend_template_metrics
from capsules.common.units.metric_names import METRIC_EXTENSIONS
from capsules.common.units.metrics import LABELS, get_labels, get_metrics_table, write_table
from capsules.common.untrusted.places import check_inside
from capsules.results.published import choose_recording, load_labelled_analyzer, reject_existing, whole_folder


def run(arguments: argparse.Namespace) -> int:
    results, file = arguments.results, arguments.apply
    id = choose_recording(results, arguments.recording)
    output = arguments.output or check_inside(results, results / "hand_curated" / id)
    reject_existing(output)
    document = read_curation(file)
    analyzer, block = load_labelled_analyzer(results, id), block_of(results, id)
    curation = parse_curation(document, file, id, [unit.item() for unit in analyzer.unit_ids])
    used = {*get_metrics_table(analyzer), *analyzer.sorting.get_property_keys(), *column_names(block)} - set(LABELS)
    check_labels(curation, file, used)
    name_new_units(curation, file, analyzer.sorting)
    edited, by_hand = edit_units(analyzer, curation), list(curation_label_to_vectors(curation))
    with whole_folder(output) as folder:
        edited.sorting.save(folder=folder / "curated")
        shutil.copyfile(file, folder / "curation.json")
        write_table(get_labels(edited.sorting, [*LABELS, *by_hand]), get_metrics_table(edited), folder / "metrics.csv")
        if block is not None:
            replace_units(block, folder / block.name, results, id, analyzer, edited, by_hand)
    new = [str(unit) for unit in new_units(curation)]
    print(f"{id}: {analyzer.get_num_units()} units became {edited.get_num_units()}, in {output}")
    if new:
        print(
            f"New units: {', '.join(new)}. Their waveforms and metrics come from the saved data, not from the traces."
        )
        for name, columns in undefined_metrics(edited, new).items():
            print(f"Undefined for some of them, {name}: {', '.join(columns)}")
    if block is None:
        print("No NWB file of the results has these units: no NWB file was written.")
    return 0


def edit_units(analyzer: SortingAnalyzer, curation: Curation) -> SortingAnalyzer:
    """Set labels, and remove, merge and split units with SpikeInterface.

    Merged units keep the channels that all their parts have. Everything that needs no traces is recomputed.

    Raises
    ------
    Rejected
        When units of a merge have no channel in common.
    """
    assert analyzer.sparsity is not None
    for merge in curation.merges or ():
        if not analyzer.sparsity.mask[analyzer.sorting.ids_to_indices(merge.unit_ids)].all(axis=0).any():
            units = ", ".join(map(str, merge.unit_ids))
            raise Rejected([f"units {units} have no channel in common: remove this merge"])
    mend_template_metrics()
    with warnings.catch_warnings():
        # About metrics that are undefined for new units, which `run` prints.
        warnings.simplefilter("ignore", UserWarning)
        edited: SortingAnalyzer = apply_curation(analyzer, curation, sparsity_overlap=0)
    return edited


def undefined_metrics(analyzer: SortingAnalyzer, units: list[str]) -> dict[str, list[str]]:
    """Extension -> metrics that are NaN for some of the units; extensions without any are left out."""
    rows = [unit for unit in analyzer.unit_ids if str(unit) in units]
    undefined = {}
    for name in filter(analyzer.has_extension, METRIC_EXTENSIONS):
        table = analyzer.get_extension(name).get_data().loc[rows]
        if columns := [str(column) for column in table if table[column].isna().any()]:
            undefined[name] = columns
    return undefined
