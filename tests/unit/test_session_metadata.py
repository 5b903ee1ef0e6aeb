"""What is known of a session: the files that tell it, their forms, and what is refused or unknown."""

import json
from datetime import UTC, datetime

import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.session_metadata import (
    aind_description,
    find_metadata_files,
    list_missing_fields,
    merge_metadata,
    read_metadata,
)
from capsules.nwb_ecephys.session import UNKNOWN_START, start_time, subject_fields

SUBJECT_1 = {
    "schema_version": "0.5.9", "subject_id": "661398", "sex": "Male", "date_of_birth": "2022-11-30",
    "genotype": "wt/wt",
    "species": {"name": "Mus musculus", "registry": "NCBI"}, "background_strain": "C57BL/6J", "alleles": [],
}  # fmt: skip
SUBJECT_2 = {
    "subject_id": "661398",
    "subject_details": {
        "sex": "Female", "date_of_birth": "2022-11-30", "strain": {"name": "C57BL/6J"},
        "species": {"name": "Mus musculus"},
    },
}  # fmt: skip
DESCRIPTION = {
    "name": "ecephys_661398_2023-03-31_17-01-09", "creation_time": "2023-03-31T17:01:09-07:00", "data_level": "raw",
    "institution": {"name": "Some Institute", "abbreviation": "SI"}, "investigators": [{"name": "A. B."}],
    "subject_id": "661398", "data_summary": None,
}  # fmt: skip


def by_hand(folder, text):
    file = folder / "nwb_metadata.yaml"
    file.write_text(text)
    return file


def test_the_nearest_file_is_taken(tmp_path):
    session = tmp_path / "above" / "session"
    raw = session / "run_g0" / "probe" / "a.bin"
    raw.parent.mkdir(parents=True)
    raw.touch()
    assert find_metadata_files([raw], session) == []
    (tmp_path / "subject.json").touch()
    (session.parent / "data_description.json").touch()
    (session / "nwb_metadata.yaml").touch()
    (session / "subject.json").touch()
    (raw.parent.parent / "subject.json").touch()
    found = find_metadata_files([raw], session)
    assert found == [
        session.parent / "data_description.json",
        raw.parent.parent / "subject.json",
        session / "nwb_metadata.yaml",
    ]


@pytest.mark.parametrize(
    ("subject", "sex", "more"), [(SUBJECT_1, "M", {"genotype": "wt/wt"}), (SUBJECT_2, "F", {})], ids=["1", "2"]
)
def test_a_subject_of_either_schema(subject, sex, more, tmp_path):
    file = tmp_path / "subject.json"
    file.write_text(json.dumps(subject))
    assert (
        read_metadata(file)["Subject"]
        == {
            "subject_id": "661398",
            "species": "Mus musculus",
            "sex": sex,
            "date_of_birth": "2022-11-30",
            "strain": "C57BL/6J",
        }
        | more
    )


def test_a_description_tells_the_session():
    assert aind_description(DESCRIPTION)["NWBFile"] == {
        "session_id": "ecephys_661398_2023-03-31_17-01-09",
        "institution": "Some Institute",
        "experimenter": ["A. B."],
        "session_start_time": "2023-03-31T17:01:09-07:00",
    }
    assert "session_start_time" not in aind_description(DESCRIPTION | {"data_level": "derived"})["NWBFile"]
    older = DESCRIPTION | {"creation_date": "2023-03-31", "creation_time": "17:01:09"}
    assert aind_description(older)["NWBFile"]["session_start_time"] == "2023-03-31T17:01:09"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NWBFile: {lab: A}\nSubjct: {sex: F}", "Subjct: unknown; did you mean 'Subject'?"),
        ("Subject: {speces: Mus musculus}", "Subject.speces: unknown; did you mean 'species'?"),
        ("Subject: {sex: female}", "Subject.sex: must be M, F, U (unknown), O (other), XX or XO; got 'female'"),
        ("NWBFile: {session_start_time: yesterday}", "NWBFile.session_start_time: 'yesterday' is not a date with time"),
        ("Ecephys: {ElectrodeGroups: {imec0: {place: V1}}}", "Ecephys.ElectrodeGroups.imec0.place: unknown"),
        (
            "NWBFile: {session_start_time: 2026-01-15}",
            "NWBFile.session_start_time: '2026-01-15' is not a date with time",
        ),
        ("NWBFile: {source_script_file_name: a.py}", "NWBFile: 'source_script' is a dependency of"),
        (
            "Subject: {age: ninety days}",
            "Subject.age: must be a duration such as P90D (90 days)",
        ),
        ("Subject: {age: P90}", "Subject.age: must be a duration such as P90D"),
        ("Devices: {left/imec0: {description: a}}", "Devices: 'left/imec0' does not match"),
        ("Devices: {imec0: {name: ''}}", "Devices.imec0.name: '' does not match"),
        ("Devices: {imec0: {colour: red}}", "Devices.imec0.colour: unknown"),
        ("Devices: {imec0: {description: 5}}", "Devices.imec0.description: must be text; got 5"),
        ("NWBFile: [1", "cannot be read"),
        ("just words", "a table of names and values is needed"),
    ],
)
def test_bad_metadata_by_hand_is_refused_with_its_path(text, problem, tmp_path):
    file = by_hand(tmp_path, text)
    with pytest.raises(SpikeRelayError) as refused:
        read_metadata(file)
    assert str(file) in str(refused.value)
    assert problem in str(refused.value)


@pytest.mark.parametrize("age", ["P90D", "P2W", "P1Y2M", "P90D/P100D", "P90D/", "PT36H"])
def test_ages_in_their_forms(age, tmp_path):
    assert read_metadata(by_hand(tmp_path, f"Subject: {{age: {age}}}"))["Subject"]["age"] == age


def test_investigators_that_are_no_list_are_refused(tmp_path):
    file = tmp_path / "data_description.json"
    file.write_text(json.dumps(DESCRIPTION | {"investigators": "A. B."}))
    with pytest.raises(SpikeRelayError, match="investigators is not a list"):
        read_metadata(file)


def test_every_problem_is_told_at_once(tmp_path):
    with pytest.raises(SpikeRelayError) as refused:
        read_metadata(by_hand(tmp_path, "Subject: {speces: x, sex: y}\nNWBFile: {labb: z}"))
    assert len(str(refused.value).splitlines()) == 3


def test_metadata_by_hand_wins_field_by_field(tmp_path):
    file = by_hand(tmp_path, "NWBFile: {session_start_time: 2026-01-15T10:30:00+01:00}\nSubject: {sex: F}")
    header = {"NWBFile": {"session_start_time": "2026-01-15T10:30:00", "session_id": "a"}}
    metadata, origins = merge_metadata({"header": header, "by hand": read_metadata(file)})
    assert metadata["NWBFile"] == {"session_start_time": "2026-01-15T10:30:00+01:00", "session_id": "a"}
    assert origins["NWBFile.session_id"] == "header"
    assert origins["NWBFile.session_start_time"] == "by hand"
    assert "Subject.sex" not in list_missing_fields(metadata)
    assert "Subject.species" in list_missing_fields(metadata)


def test_a_device_keeps_what_a_later_source_does_not_tell():
    source = {"Devices": {"probe": {"name": "probe", "serial_number": "7", "description": "a"}}}
    metadata, _ = merge_metadata({"rat.nwb": source, "by hand": {"Devices": {"probe": {"description": "b"}}}})
    assert metadata["Devices"] == {"probe": {"name": "probe", "serial_number": "7", "description": "b"}}
    assert source["Devices"]["probe"]["description"] == "a"


def test_a_start_without_zone_is_told():
    assert start_time("2026-01-15T10:30:00+01:00")[1] is None
    start, about = start_time("2026-01-15T10:30:00")
    assert start == datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    assert "no time zone" in about
    assert start_time(None)[0] == UNKNOWN_START
    with pytest.raises(SpikeRelayError, match="soon"):
        start_time("soon")


def test_a_birthday_becomes_an_age_when_the_session_has_a_date():
    start = datetime(2026, 1, 15, tzinfo=UTC)
    assert subject_fields({"date_of_birth": "2025-12-15"}, start)[0] == {"age": "P31D"}
    assert subject_fields({"date_of_birth": "2025-12-15"}, UNKNOWN_START)[0] == {}
    for later in ("2026-02-01", "2026-02-01T00:00:00+01:00"):
        fields, about = subject_fields({"date_of_birth": later}, start)
        assert (fields, "is after the session" in about) == ({}, True)
    exact, about = subject_fields({"date_of_birth": "2025-12-15T00:00:00+01:00"}, start)
    assert exact["date_of_birth"].utcoffset().total_seconds() == 3600
    assert about is None


def test_a_date_that_is_none_is_refused(tmp_path):
    file = tmp_path / "subject.json"
    file.write_text(json.dumps(SUBJECT_1 | {"date_of_birth": "last spring"}))
    with pytest.raises(SpikeRelayError, match=r"subject\.json, Subject.date_of_birth: 'last spring' is not a date"):
        read_metadata(file)
