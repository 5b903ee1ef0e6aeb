"""A curation file in SpikeInterface's format: read, held against the units that it is about, its new units named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from capsules.common.errors import Rejected, nearest
from capsules.parameters import strict_json
from capsules.parameters.problems import shown

VERSIONS = ("1", "2")
"""Of SpikeInterface's curation format; it reads the older one as well."""
OLDER = ("merge_unit_groups", "removed_units")
"""What the older version has under other names."""
LABEL = re.compile(r"\w[\w .+-]{0,99}")
"""A label's name is that of a file and of columns in tables."""
LARGEST_ID = 2**63 - 1


def read_curation(file: Path) -> dict[str, Any]:
    """The curation file's JSON object.

    Raises
    ------
    Rejected
        When it cannot be read, is no JSON object, or is of a version that SpikeInterface's model does not have.
    """
    try:
        document = strict_json.read_file(file).value
    except OSError as error:
        raise Rejected([f"{file}: {error.strerror}"]) from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if version not in VERSIONS:
        raise Rejected([f"{file}: not a curation of SpikeInterface's format, version {' or '.join(VERSIONS)}"])
    return document


def checked_curation(document: dict[str, Any], file: Path, id: str, units: list[Any]) -> Any:
    """The document as SpikeInterface's model (Curation).

    Raises
    ------
    Rejected
        When it is about other units than the recording's, breaks the model's rules, or holds what the model ignores.
    """
    from pydantic import ValidationError
    from spikeinterface.curation.curation_model import Curation

    named = document.get("unit_ids")
    if not isinstance(named, list) or set(map(repr, named)) != set(map(repr, units)):
        raise Rejected([f"{file}: its unit_ids are not the units of {id}; is it another recording's curation?"])
    known = [*Curation.model_fields, *OLDER]
    if unknown := [name for name in document if name not in known]:
        raise Rejected([f"{file}: {shown(name)} is not in the format{nearest(name, known)}" for name in unknown])
    try:
        return Curation.model_validate(document)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        # The model's own checks take the types for granted.
        raise Rejected([f"{file}: not in the format: {type(error).__name__}: {error}"]) from None
    except ValidationError as error:
        raise Rejected(
            [f"{file}: {problem['msg'].removeprefix('Value error, ')}" for problem in error.errors()]
        ) from None


def check_labels(curation: Any, file: Path, taken: Iterable[str]) -> None:
    """Hold the labels against what becomes of them: a property and a column each, beside those that are `taken`.

    Raises
    ------
    Rejected
        When a column cannot have a label's name, or a unit's label is not among the options.
    """
    definitions = curation.label_definitions
    names = Counter(
        name for key, label in definitions.items() for name in ([key] if label.exclusive else label.label_options)
    )
    problems = [f"no label can have the name {shown(name)}" for name in names if not LABEL.fullmatch(name)]
    problems += [f"label {name}: the units have something else of this name" for name in names if name in taken]
    problems += [f"label {name} is defined twice" for name, count in names.items() if count > 1]
    problems += [
        f"unit {manual.unit_id}: {key} has no option {shown(value)}{nearest(value, definitions[key].label_options)}"
        for manual in curation.manual_labels
        for key, values in manual.labels.items()
        for value in values
        if value not in definitions[key].label_options
    ]
    if problems:
        raise Rejected([f"{file}: {problem}" for problem in problems])


def new_units(curation: Any) -> list[Any]:
    """The ids that merges and splits give, as far as the file names them."""
    merged = [merge.new_unit_id for merge in curation.merges if merge.new_unit_id is not None]
    return merged + [unit for split in curation.splits for unit in split.new_unit_ids or []]


def name_new_units(curation: Any, file: Path, sorting: Any) -> None:
    """Give the units that merges and splits make an id where the file names none: one that no unit ever had.

    SpikeInterface by itself would give them the ids of removed units.

    Raises
    ------
    Rejected
        When a split does not fit its spikes, or a new id is a number where the others are
        texts or the other way round.
    """
    from spikeinterface.core.sorting_tools import generate_unit_ids_for_merge_group, generate_unit_ids_for_split

    if problems := change_problems(curation, sorting):
        raise Rejected([f"{file}: {problem}" for problem in problems])
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
    cut = Counter(split.unit_id for split in curation.splits)
    problems = [f"unit {unit} is split more than once" for unit, count in cut.items() if count > 1]
    problems += [
        f"a merge names a unit twice: {', '.join(map(str, merge.unit_ids))}"
        for merge in curation.merges
        if len(set(merge.unit_ids)) < len(merge.unit_ids)
    ]
    for split in curation.splits:
        spikes = len(sorting.get_unit_spike_train(split.unit_id))
        indices = [index for part in split.indices or [] for index in part]
        if indices and (min(indices) < 0 or max(indices) >= spikes):
            problems.append(f"the split of unit {split.unit_id} names spikes that it does not have: it has {spikes}")
            continue
        if split.mode == "labels" and len(split.labels) != spikes:
            problems.append(f"the split of unit {split.unit_id} has {len(split.labels)} labels for {spikes} spikes")
            continue
        parts = [len(part) for part in split.get_full_spike_indices(sorting)]
        if len(parts) < 2 or 0 in parts:
            problems.append(f"the split of unit {split.unit_id} needs two parts or more, with spikes in each")
        elif split.new_unit_ids is not None and len(parts) != len(split.new_unit_ids):
            problems.append(
                f"the split of unit {split.unit_id} makes {len(parts)} units and names another number of ids"
            )
    new = new_units(curation)
    problems += [f"new unit id {unit} is given twice" for unit, n in Counter(new).items() if n > 1]
    problems += [f"new unit id {unit} is too large" for unit in new if isinstance(unit, int) and abs(unit) > LARGEST_ID]
    kind = type(curation.unit_ids[0])
    return problems + [
        f"new unit id {unit!r} is no {kind.__name__}, as the others are" for unit in new if type(unit) is not kind
    ]
