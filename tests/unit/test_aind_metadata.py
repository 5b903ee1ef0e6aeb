"""AIND's metadata of a results folder: their content, what is left out with a warning, and that nothing is invented."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest

from capsules.common.recordings.job import Job, Reader
from capsules.results.aind.schema import read_vocabulary
from capsules.results.status import status_document
from tests.aind_package import ask_package

PROBES = ("day_probeA", "day_probeB.ap")
BLOCK = "day"
NAME = "ecephys_661398_2023-03-31_17-01-09"
AIND = "Allen Institute for Neural Dynamics"
SCHEMA_2 = {
    "object_type": "Data description", "schema_version": "2.0.0", "name": NAME, "data_level": "raw",
    "creation_time": "2023-03-31T17:01:09-07:00", "subject_id": "661398", "license": "CC-BY-4.0",
    "institution": {"name": AIND, "abbreviation": "AIND"}, "group": "ephys", "project_name": "Brain wide map",
    "investigators": [{"object_type": "Person", "name": "A. B.", "registry_identifier": "0000-0001"}],
    "funding_source": [{"funder": {"name": "Allen Institute"}, "grant_number": None, "fundee": [{"name": "A. B."}]}],
    "modalities": [{"name": "Behavior videos", "abbreviation": "behavior-videos"}, {"abbreviation": "ecephys"}],
    "tags": ["a tag"], "data_summary": "Why it was recorded.", "restrictions": None,
}  # fmt: skip
SCHEMA_1 = {
    "schema_version": "1.0.0", "name": NAME, "data_level": "raw", "creation_time": "2023-03-31T17:01:09-07:00",
    "subject_id": "661398", "license": "CC-BY-4.0", "platform": {"abbreviation": "ecephys"}, "related_data": [],
    "institution": {"name": AIND, "registry": {"abbreviation": "ROR"}, "registry_identifier": "04szwah67"},
    "investigators": [{"name": "A. B.", "registry": {"abbreviation": "ORCID"}, "registry_identifier": "0000-0001"}],
    "funding_source": [{"funder": {"name": "Allen Institute"}, "fundee": "A. B., C. D."}],
    "modality": [{"name": "Extracellular electrophysiology", "abbreviation": "ecephys"}],
    "project_name": "Brain wide map", "group": None,
}  # fmt: skip


def record(stage, id, recording=None, status="ok", minute=0, **more):
    fixed = {
        "device": "cpu",
        "n_jobs": 2,
        "versions": {"python": "3.11.7", "spikerelay": "0.2.0", "spikeinterface": "1"},
    }
    times = {"started": f"2026-01-15T10:{minute:02}:00+00:00", "ended": f"2026-01-15T10:{minute:02}:30+00:00"}
    own = {
        "stage": stage,
        "id": id,
        "recording": recording,
        "status": status,
        "reason": None,
        "params": {"a": {"b.c": 1}},
    }
    facts = {"sorter": "kilosort4", "sorter_version": "4.1.7"} if stage == "spikesorting" else {}
    return fixed | times | own | {"changes": [], "warnings": [], "facts": facts, "seeds": {"x.seed": 0}} | more


def records():
    """Those of two probes; the sorting of the second was skipped."""
    first, second = PROBES
    return [
        record("nwb_units", BLOCK, minute=9),
        record("nwb_ecephys", BLOCK, minute=2),
        record("events", BLOCK, minute=0),
        record("preprocessing", first, minute=1, facts={"large": ["channel"] * 1000, "noise_uv": float("nan")}),
        record("preprocessing", second, minute=1),
        record("spikesorting", first, first, minute=3, warnings=["few units"], changes=["a seed"]),
        record("spikesorting", second, second, "skipped", minute=3, reason="no spikes"),
        record("postprocessing", first, first, minute=4),
        record("curation", first, first, minute=5, facts={"units": 7, "good_units": 0}),
        record("visualization", first, first, minute=6),
    ]


def job(id):
    return Job(
        id=id, session=BLOCK, block=BLOCK, stream=id, segments=[0], reader=Reader(name="x", kwargs={}),
        sampling_frequency_hz=30000.0, num_channels=8, duration_s=4.0, dtype="int16", megabytes=2.0,
    )  # fmt: skip


CHECKS = [
    {"name": "noise, median channel", "unit": "uV", "low": 1, "high": 20, "meaning": "", "value": 8.1, "within": True},
    {"name": "drift, upper end", "unit": "um", "low": None, "high": 40, "meaning": "up", "value": 55, "within": False},
    {"name": "units", "unit": "", "low": None, "high": None, "meaning": "units", "value": 7, "within": True},
]  # fmt: skip


@pytest.fixture
def results(tmp_path) -> Path:
    """A results folder of two probes, and its data folder `session`, which describes nothing."""
    folder = tmp_path / "results"
    (folder / "nextflow").mkdir(parents=True)
    (tmp_path / "session").mkdir()
    made = records()
    keyed = {(entry["stage"], entry["id"]): entry for entry in made}
    status = status_document([job(id) for id in PROBES], [{"name": "kilosort4", "suffix": ""}], keyed, {})
    (folder / "quality_control" / PROBES[0]).mkdir(parents=True)
    figures = {PROBES[0]: [f"visualization/{PROBES[0]}/drift_map.svg"]}
    for name, content in {
        "status.json": status,
        "processing.json": {"stages": json.loads(json.dumps(made).replace("NaN", "null"))},
        "visualization_output.json": figures,
        "nextflow/run.json": {"data": str(tmp_path / "session")},
        f"quality_control/{PROBES[0]}/checks.json": CHECKS,
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def export(results, spikerelay):
    """Export the metadata, with this data_description.json in the data folder; returns them and what was printed."""

    def run(description=None, *words, place="session/data_description.json"):
        if description is not None:
            file = results.parent / place
            file.parent.mkdir(exist_ok=True)
            file.write_text(description if isinstance(description, str) else json.dumps(description))
        code, said, complaint = spikerelay("export", results, "--to", "aind", *words)
        assert (code, complaint) == (0, "")
        return {file.stem: json.loads(file.read_text()) for file in (results / "aind_metadata").iterdir()}, said

    return run


def test_the_processes_are_the_tasks_in_their_order(export):
    made, _ = export()
    processes = made["processing"]["data_processes"]
    assert [(process["name"], process["process_type"]) for process in processes] == [
        ("events_day", "Other"),
        ("preprocessing_day_probeA", "Ephys preprocessing"),
        ("preprocessing_day_probeB.ap", "Ephys preprocessing"),
        ("nwb_ecephys_day", "File format conversion"),
        ("spikesorting_day_probeA", "Spike sorting"),
        ("postprocessing_day_probeA", "Ephys postprocessing"),
        ("curation_day_probeA", "Ephys curation"),
        ("visualization_day_probeA", "Ephys visualization"),
        ("nwb_units_day", "File format conversion"),
    ]
    sorting = processes[4]
    assert sorting["start_date_time"] == "2026-01-15T10:03:00+00:00"
    assert sorting["end_date_time"] == "2026-01-15T10:03:30+00:00"
    assert sorting["output_path"] == "spikesorted/day_probeA"
    assert sorting["code"]["core_dependency"] == {"object_type": "Software", "name": "kilosort4", "version": "4.1.7"}
    assert sorting["code"]["version"] == "0.2.0"
    assert sorting["code"]["parameters"] == {"a": {"b_c": 1}}, "AIND's database has no keys with dots"
    assert sorting["output_parameters"]["seeds"] == {"x_seed": 0}
    assert sorting["notes"] == "Adjustment: a seed\nWarning: few units"
    assert "spikesorting_day_probeB.ap: skipped: no spikes" in made["processing"]["notes"]


def test_a_large_fact_is_left_out_with_a_note(export):
    process = export()[0]["processing"]["data_processes"][1]
    assert "large" not in process["output_parameters"]
    assert process["notes"] == "Too large for this file, and in SpikeRelay's processing.json: large"


def test_each_process_names_those_whose_output_it_used(export, results):
    graph = export()[0]["processing"]["dependency_graph"]
    assert graph == {
        "events_day": [],
        "preprocessing_day_probeA": [],
        "preprocessing_day_probeB.ap": [],
        "nwb_ecephys_day": ["events_day"],
        "spikesorting_day_probeA": ["preprocessing_day_probeA"],
        "postprocessing_day_probeA": ["preprocessing_day_probeA", "spikesorting_day_probeA"],
        "curation_day_probeA": ["postprocessing_day_probeA"],
        "visualization_day_probeA": [
            "preprocessing_day_probeA", "postprocessing_day_probeA", "curation_day_probeA", "events_day",
        ],
        "nwb_units_day": ["nwb_ecephys_day", "postprocessing_day_probeA", "curation_day_probeA"],
    }  # fmt: skip


def test_results_of_an_older_version_have_no_graph(export, results):
    status = json.loads((results / "status.json").read_text())
    for entry in status["recordings"].values():
        del entry["block"]
    (results / "status.json").write_text(json.dumps(status))
    assert "dependency_graph" not in export()[0]["processing"]


def test_each_check_is_a_metric(export):
    metrics = {metric["name"]: metric for metric in export()[0]["quality_control"]["metrics"]}
    assert {name: (metric["value"], metric["status_history"][0]["status"]) for name, metric in metrics.items()} == {
        "status, day_probeA": ("ok", "Pass"),
        "noise, median channel (uV), day_probeA": (8.1, "Pass"),
        "drift, upper end (um), day_probeA": (55.0, "Pending"),
        "units, day_probeA": (7, "Pass"),
        "good units, day_probeA": (0, "Pending"),
        "status, day_probeB.ap": ("skipped", "Pending"),
    }
    drift = metrics["drift, upper end (um), day_probeA"]
    assert drift["reference"] == "visualization/day_probeA/drift_map.svg"
    assert drift["description"] == "up; Pass: at most 40 um; otherwise Pending"
    assert drift["tags"] == {"recording": "day_probeA", "block": "day"}
    assert drift["status_history"][0]["evaluator"] == "Automated"
    assert drift["status_history"][0]["timestamp"] == "2026-01-15T10:06:30+00:00"
    assert metrics["status, day_probeB.ap"]["description"].endswith("no spikes")


def test_the_sorted_data_are_described_from_the_session(export):
    made, said = export(SCHEMA_2)
    assert made["data_description"] == {
        "object_type": "Data description",
        "describedBy": "https://raw.githubusercontent.com/AllenNeuralDynamics/aind-data-schema/main/src/"
        "aind_data_schema/core/data_description.py",
        "schema_version": "2.4.2",
        "institution": {
            "name": AIND, "abbreviation": "AIND", "registry": "Research Organization Registry (ROR)",
            "registry_identifier": "04szwah67",
        },
        "funding_source": [
            {
                "object_type": "Funding",
                "funder": {
                    "name": "Allen Institute", "abbreviation": "AI",
                    "registry": "Research Organization Registry (ROR)", "registry_identifier": "03cpe7c52",
                },
                "fundee": [{"object_type": "Person", "name": "A. B."}],
            }
        ],
        "investigators": [{"object_type": "Person", "name": "A. B.", "registry_identifier": "0000-0001"}],
        "project_name": "Brain wide map",
        "subject_id": "661398",
        "license": "CC-BY-4.0",
        "tags": ["a tag"],
        "group": "ephys",
        "data_summary": "Why it was recorded.",
        "modalities": [
            {"name": "Behavior videos", "abbreviation": "behavior-videos"},
            {"name": "Extracellular electrophysiology", "abbreviation": "ecephys"},
        ],
        "creation_time": "2026-01-15T10:09:30+00:00",
        "data_level": "derived",
        "name": f"{NAME}_sorted_2026-01-15_10-09-30",
        "source_data": [NAME],
    }  # fmt: skip
    assert len(said.splitlines()) == 1


def test_schema_1_is_written_as_schema_2(export):
    made, _ = export(SCHEMA_1)
    description = made["data_description"]
    assert [person["name"] for person in description["funding_source"][0]["fundee"]] == ["A. B.", "C. D."]
    assert description["investigators"] == [
        {"object_type": "Person", "name": "A. B.", "registry_identifier": "0000-0001"}
    ]
    assert [modality["abbreviation"] for modality in description["modalities"]] == ["ecephys"]
    assert not {"platform", "related_data", "modality", "group"} & set(description)


def test_sorted_data_are_sorted_again_under_the_name_of_the_raw_data(export):
    derived = SCHEMA_2 | {"name": f"{NAME}_sorted_2024-01-01_00-00-00", "data_level": "derived"}
    description = export(derived)[0]["data_description"]
    assert description["name"] == f"{NAME}_sorted_2026-01-15_10-09-30"
    assert description["source_data"] == [derived["name"]]


def test_without_a_description_there_is_no_file_and_a_warning(export):
    made, said = export()
    assert set(made) == {"processing", "quality_control"}
    assert "data_description.json is not written: institution is missing; funding_source is missing" in said
    assert "subject_id is missing (optional)" in said
    assert "Add or correct it in data_description.json in the data folder." in said


@pytest.mark.parametrize("field", ["institution", "funding_source", "investigators", "project_name"])
@pytest.mark.parametrize(
    "value", [None, [], {}, 5, "", [None], {"name": "My Lab"}, [{"name": 5}], "a_b/c", [{"funder": {}}]]
)
def test_a_needed_field_that_is_wrong_is_named(field, value, export):
    made, said = export(SCHEMA_2 | {field: value})
    assert set(made) == {"processing", "quality_control"}
    assert f"is not written: {field} " in said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject_id", "a_b"), ("subject_id", 5), ("license", "GPL"), ("license", None), ("group", ["ephys"]),
        ("tags", "text"), ("tags", [5]), ("restrictions", {}), ("data_summary", [1]), ("name", "../x"), ("name", 3),
    ],
)  # fmt: skip
def test_an_optional_field_that_is_wrong_is_left_out(field, value, export):
    made, said = export(SCHEMA_2 | {field: value})
    assert field not in made["data_description"]
    assert f"data_description.json has no {field}: it is " in said
    if field == "name":
        assert "source_data" not in made["data_description"]


def test_unknown_modalities_are_left_out(export):
    made, said = export(SCHEMA_2 | {"modalities": [{"abbreviation": {}}]})
    assert [modality["abbreviation"] for modality in made["data_description"]["modalities"]] == ["ecephys"]
    assert "has no modalities: it has {}" in said


def test_other_files_have_the_subject_and_the_institution(export, results):
    session = results.parent / "session"
    (session / "subject.json").write_text('{"subject_id": "1"}')
    (session / "nwb_metadata.yaml").write_text(f"NWBFile:\n  institution: {AIND}\n")
    known = {name: value for name, value in SCHEMA_2.items() if name not in ("subject_id", "institution")}
    made, said = export(known)
    assert made["data_description"]["subject_id"] == "1"
    assert made["data_description"]["institution"]["abbreviation"] == "AIND"
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("place", ["session/only/data_description.json", "data_description.json"])
def test_the_only_session_below_or_the_folder_above_has_the_file(place, export):
    assert "data_description" in export(SCHEMA_2, place=place)[0]


def test_several_sessions_are_not_guessed(export, results):
    for name in ("a", "b"):
        (results.parent / "session" / name).mkdir()
        (results.parent / "session" / name / "data_description.json").write_text(json.dumps(SCHEMA_2))
    made, said = export()
    assert "data_description" not in made
    assert "has several sessions" in said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "it is not a JSON object"),
        ("{", "line 1"),
        ('{"project_name": NaN}', "NaN"),
        ('{"name": "\\u0000"}', "NUL"),
        ("[" * 100_000, "nested too deeply"),
        ('{"name": "' + "x" * 11_000_000 + '"}', "too large"),
    ],
    ids=["list", "cut", "nan", "nul", "deep", "huge"],
)
def test_a_description_that_is_hostile_is_a_warning(text, reason, export):
    made, said = export(text)
    assert set(made) == {"processing", "quality_control"}
    assert reason in said
    assert "is not written" in said
    assert len(said) < 3000


def test_a_pipe_is_not_read(export, results):
    import os

    os.mkfifo(results.parent / "session" / "data_description.json")
    assert "data_description" not in export()[0]


def test_lost_data_are_a_warning(export, results):
    (results.parent / "session").rmdir()
    made, said = export()
    assert set(made) == {"processing", "quality_control"}
    assert "session is unavailable" in said


def test_what_the_command_rejects(results, spikerelay, tmp_path):
    for words, reason in (
        (["--recording", PROBES[0]], "--recording: AIND's metadata describe all recordings"),
        (["--data", tmp_path / "none"], "none: no such folder"),
        (["--output", tmp_path], "exists: remove it"),
    ):
        code, _, complaint = spikerelay("export", results, "--to", "aind", *words)
        assert code == 2
        assert reason in complaint
    assert not (results / "aind_metadata").exists()


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("processing.json", {}, "records: "),
        ("processing.json", {"stages": [{"stage": "spikesorting"}]}, "records.0.id: Field required"),
        ("processing.json", {"stages": [record("../x", "day")]}, "unknown stage"),
        ("visualization_output.json", {"a": 5}, "figures.a"),
        (f"quality_control/{PROBES[0]}/checks.json", {"a": 5}, "checks."),
        ("processing.json", None, "it has no processing.json"),
    ],
)
def test_a_damaged_results_folder_is_named(file, content, reason, results, spikerelay):
    (results / file).unlink()
    if content is not None:
        (results / file).write_text(json.dumps(content))
    code, _, complaint = spikerelay("export", results, "--to", "aind")
    assert code == 2
    assert reason in complaint
    assert not list(results.glob("*aind_metadata*"))


def test_the_vocabulary_has_what_the_code_needs():
    vocabulary = read_vocabulary()
    assert set(vocabulary["schema_versions"]) == {"data_description", "processing", "quality_control"}
    assert "ecephys" in vocabulary["modalities"]


@pytest.mark.slow
def test_the_vocabulary_is_that_of_the_package():
    assert read_vocabulary() == ask_package("--vocabulary")


@pytest.mark.slow
@pytest.mark.parametrize("description", [SCHEMA_1, SCHEMA_2], ids=["1", "2"])
def test_the_package_reads_the_files(description, export, results):
    made, _ = export(deepcopy(description))
    read = ask_package(results / "aind_metadata")
    assert set(read) == set(made) == {"data_description", "processing", "quality_control"}
    assert [process["name"] for process in read["processing"]["data_processes"]] == [
        process["name"] for process in made["processing"]["data_processes"]
    ]
    assert read["processing"]["notes"] == made["processing"]["notes"], "the package has not reordered the processes"
    assert read["data_description"]["license"] == "CC-BY-4.0"
    assert read["quality_control"]["status"]["recording:day_probeA"] == "Pending"
    assert read["quality_control"]["metrics"][0]["tags"]["recording"] == "day_probeA"
