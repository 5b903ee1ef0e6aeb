"""A curation file in SpikeInterface's format: read it, check it against the units, name its new units."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from spikeinterface import BaseSorting
from spikeinterface.core.sorting_tools import generate_unit_ids_for_merge_group, generate_unit_ids_for_split
from spikeinterface.curation.curation_model import Curation

from capsules.common.errors import Rejected, nearest
from capsules.parameters import strict_json
from capsules.parameters.problems import quote

VERSIONS = ("1", "2")
"""Of SpikeInterface's curation format, which reads both."""
OLDER = ("merge_unit_groups", "removed_units")
"""Keys of version 1 that version 2 renamed."""
LABEL = re.compile(r"\w[\w .+-]{0,99}")
"""A label's name is used for a file and for columns of tables."""
LARGEST_ID = 2**63 - 1


def read_curation(file: Path) -> dict[str, Any]:
    """The curation file's JSON object.

    Raises
    ------
    Rejected
        When it cannot be read, is not a JSON object, or has a version that SpikeInterface does not read.
    """
    try:
        document: Any = strict_json.read_file(file).value
    except OSError as error:
        raise Rejected([f"{file}: {error.strerror}"]) from None
    if not isinstance(document, dict) or document.get("format_version") not in VERSIONS:
        raise Rejected([f"{file}: not a curation of SpikeInterface's format, version {' or '.join(VERSIONS)}"])
    return document


def parse_curation(document: dict[str, Any], file: Path, id: str, units: list[Any]) -> Curation:
    """The document as SpikeInterface's model.

    Raises
    ------
    Rejected
        When its units are not the recording's, it breaks the model's rules, or has keys that the model ignores.
    """
    ids = document.get("unit_ids")
    if not isinstance(ids, list) or set(map(repr, ids)) != set(map(repr, units)):
        raise Rejected([f"{file}: its unit_ids are not the units of {id}; is it another recording's curation?"])
    known = [*Curation.model_fields, *OLDER]
    if unknown := [name for name in document if name not in known]:
        raise Rejected([f"{file}: {quote(name)} is not in the format{nearest(name, known)}" for name in unknown])
    try:
        return Curation.model_validate(document)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        # The model's checks assume the right types.
        raise Rejected([f"{file}: not in the format: {type(error).__name__}: {error}"]) from None
    except ValidationError as error:
        raise Rejected(
            [f"{file}: {problem['msg'].removeprefix('Value error, ')}" for problem in error.errors()]
        ) from None


def check_labels(curation: Curation, file: Path, used: Iterable[str]) -> None:
    """Check that each label can become a property and a column, and that `used` columns have other names.

    Raises
    ------
    Rejected
        When a label's name is invalid or used, or a unit's label is not among the options.
    """
    definitions = curation.label_definitions or {}
    names = Counter(
        name for key, label in definitions.items() for name in ([key] if label.exclusive else label.label_options)
    )
    problems = [
        f"label {quote(name)}: invalid name; use letters, digits, blanks, `_`, `.`, `+` and `-`"
        for name in names
        if not LABEL.fullmatch(name)
    ]
    problems += [
        f"label {name}: the units already have a column of this name: rename the label"
        for name in names
        if name in used
    ]
    problems += [f"label {name} is defined twice" for name, count in names.items() if count > 1]
    problems += [
        f"unit {manual.unit_id}: {key} has no option {quote(value)}{nearest(value, definitions[key].label_options)}"
        for manual in curation.manual_labels or ()
        for key, values in manual.labels.items()
        for value in values
        if value not in definitions[key].label_options
    ]
    if problems:
        raise Rejected([f"{file}: {problem}" for problem in problems])


def new_units(curation: Curation) -> list[Any]:
    """The ids of the units that merges and splits make, as far as the file names them."""
    merged = [merge.new_unit_id for merge in curation.merges or () if merge.new_unit_id is not None]
    return merged + [unit for split in curation.splits or () for unit in split.new_unit_ids or []]


def name_new_units(curation: Curation, file: Path, sorting: BaseSorting) -> None:
    """Give the units that merges and splits make an unused id where the file names none.

    SpikeInterface would reuse the ids of removed units.

    Raises
    ------
    Rejected
        When a split does not fit its spikes, or a new id is a number where the others are texts, or the reverse.
    """
    if problems := change_problems(curation, sorting):
        raise Rejected([f"{file}: {problem}" for problem in problems])
    used = list(curation.unit_ids)
    for merge in curation.merges or ():
        if merge.new_unit_id is None:
            (new,) = generate_unit_ids_for_merge_group(used, [merge.unit_ids])
            merge.new_unit_id = new if isinstance(new, str) else int(new)
        used.append(merge.new_unit_id)
    for split in curation.splits or ():
        if split.new_unit_ids is None:
            (new,) = generate_unit_ids_for_split(used, {split.unit_id: split.get_full_spike_indices(sorting)})
            split.new_unit_ids = [id if isinstance(id, str) else int(id) for id in new]
        used += split.new_unit_ids


def change_problems(curation: Curation, sorting: BaseSorting) -> list[str]:
    """Mistakes that SpikeInterface's model accepts and its functions fail on."""
    cut = Counter(split.unit_id for split in curation.splits or ())
    problems = [f"unit {unit} is split more than once" for unit, count in cut.items() if count > 1]
    problems += [
        f"a merge names a unit twice: {', '.join(map(str, merge.unit_ids))}"
        for merge in curation.merges or ()
        if len(set(merge.unit_ids)) < len(merge.unit_ids)
    ]
    for split in curation.splits or ():
        spikes = len(sorting.get_unit_spike_train(split.unit_id))
        indices = [index for part in split.indices or [] for index in part]
        if indices and (min(indices) < 0 or max(indices) >= spikes):
            problems.append(
                f"the split of unit {split.unit_id} lists spikes that the unit does not have: it has {spikes}"
            )
            continue
        if split.mode == "labels" and len(split.labels or ()) != spikes:
            problems.append(
                f"the split of unit {split.unit_id} has {len(split.labels or ())} labels for {spikes} spikes"
            )
            continue
        parts = [len(part) for part in split.get_full_spike_indices(sorting)]
        if len(parts) < 2 or 0 in parts:
            problems.append(f"the split of unit {split.unit_id} needs two parts or more, with spikes in each")
        elif split.new_unit_ids is not None and len(parts) != len(split.new_unit_ids):
            problems.append(
                f"the split of unit {split.unit_id} makes {len(parts)} units and names {len(split.new_unit_ids)} ids"
            )
    new = new_units(curation)
    problems += [f"new unit id {unit} is used twice" for unit, n in Counter(new).items() if n > 1]
    problems += [f"new unit id {unit} is too large" for unit in new if isinstance(unit, int) and abs(unit) > LARGEST_ID]
    kind = type(curation.unit_ids[0])
    return problems + [
        f"new unit id {unit!r}: must be of type {kind.__name__}, as the other ids"
        for unit in new
        if type(unit) is not kind
    ]
