"""A curation file in SpikeInterface's format: read, held against the units that it is about, its new units named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from capsules.common import strict_json
from capsules.common.errors import Refused

VERSIONS = ("1", "2")
"""Of SpikeInterface's curation format; it reads the older one as well."""


def read_curation(file: Path) -> dict[str, Any]:
    """The curation file's JSON object.

    Raises
    ------
    Refused
        When it cannot be read, is no JSON object, or is of a version that SpikeInterface's model does not have.
    """
    try:
        document = strict_json.read_file(file).value
    except OSError as error:
        raise Refused([f"{file}: {error.strerror}"]) from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if version not in VERSIONS:
        raise Refused([f"{file}: not a curation of SpikeInterface's format, version {' or '.join(VERSIONS)}"])
    return document


def checked_curation(document: dict[str, Any], file: Path, id: str, units: list[Any]) -> Any:
    """The document as SpikeInterface's model (Curation).

    Raises
    ------
    Refused
        When it is about other units than the recording's, or breaks the model's rules.
    """
    from pydantic import ValidationError
    from spikeinterface.curation.curation_model import Curation

    named = document.get("unit_ids")
    if not isinstance(named, list) or set(map(repr, named)) != set(map(repr, units)):
        raise Refused([f"{file}: its unit_ids are not the units of {id}; is it another recording's curation?"])
    try:
        return Curation.model_validate(document)
    except ValidationError as error:
        raise Refused(
            [f"{file}: {problem['msg'].removeprefix('Value error, ')}" for problem in error.errors()]
        ) from None


def name_new_units(curation: Any, file: Path, sorting: Any) -> None:
    """Give the units that merges and splits make an id where the file names none: one that no unit ever had.

    SpikeInterface by itself would give them the ids of removed units.

    Raises
    ------
    Refused
        When a split does not fit its spikes, or a new id is a number where the others are
        texts or the other way round.
    """
    from spikeinterface.core.sorting_tools import generate_unit_ids_for_merge_group, generate_unit_ids_for_split

    if problems := change_problems(curation, sorting):
        raise Refused([f"{file}: {problem}" for problem in problems])
    taken = list(curation.unit_ids)
    for merge in curation.merges:
        if merge.new_unit_id is None:
            (new,) = generate_unit_ids_for_merge_group(taken, [merge.unit_ids])
            merge.new_unit_id = new if isinstance(new, str) else int(new)
        taken.append(merge.new_unit_id)
    for split in curation.splits:
        if split.new_unit_ids is None:
            (new,) = generate_unit_ids_for_split(taken, {split.unit_id: split.get_full_spike_indices(sorting)})
            split.new_unit_ids = [one if isinstance(one, str) else int(one) for one in new]
        taken += split.new_unit_ids


def change_problems(curation: Any, sorting: Any) -> list[str]:
    """What SpikeInterface's model lets through and its functions then fail on."""
    problems = []
    for split in curation.splits:
        spikes = len(sorting.get_unit_spike_train(split.unit_id))
        indices = [index for part in split.indices or [] for index in part]
        if indices and (min(indices) < 0 or max(indices) >= spikes):
            problems.append(f"the split of unit {split.unit_id} names spikes that it does not have: it has {spikes}")
        elif split.mode == "labels" and len(split.labels) != spikes:
            problems.append(f"the split of unit {split.unit_id} has {len(split.labels)} labels for {spikes} spikes")
        elif split.new_unit_ids is not None:
            parts = len(split.get_full_spike_indices(sorting))
            if parts != len(split.new_unit_ids):
                problems.append(
                    f"the split of unit {split.unit_id} makes {parts} units and names another number of ids"
                )
    new = [merge.new_unit_id for merge in curation.merges if merge.new_unit_id is not None]
    new += [unit for split in curation.splits for unit in split.new_unit_ids or []]
    problems += [f"new unit id {unit} is given twice" for unit, n in Counter(new).items() if n > 1]
    kind = type(curation.unit_ids[0])
    return problems + [
        f"new unit id {unit!r} is no {kind.__name__}, as the others are" for unit in new if type(unit) is not kind
    ]
