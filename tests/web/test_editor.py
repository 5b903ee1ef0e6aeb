"""The parameter editor in a real browser, served and as a file: fields, verdicts, edits, files, hostile input."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import subprocess
import zlib
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe

from capsules import generate
from capsules.parameters.model import get_dotted, set_dotted
from capsules.parameters.rules import rule_problems
from capsules.resolve_params.names.library_names import name_problems
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import _text_problems, dump, read_params_file, whole_file_problems
from capsules.resolve_params.resolve import resolve
from tests.halves import rest_is_slow
from tests.unit.test_verdicts import BAD_DOCUMENTS, CROSSED, DEFAULTS, SCHEMA, TEXTS, VALIDATOR, mutate, one
from tests.unit.test_verdicts import LEAVES as PARAMETERS

APP = generate.ROOT / "params_app"
PAGE = APP / "index.html"
PROBES = Path(__file__).with_name("editor_probes.js").read_text()
PRESETS = json.loads((APP / "presets.json").read_text())["presets"]
ESSENTIALS = json.loads((APP / "essentials.json").read_text())["essentials"]
FREQ_MIN = "preprocessing.highpass_filter.freq_min"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
ODD = [None, 5, "x", [], True, {}, {"$schema": 5}, {"$schema": "x"}, {"schema_": "x"}, {"__proto__": {"a": 1}}]
ODD += [{"constructor": 1}, {"curation": {"__proto__": None}}, {"curation": {"toString": 1}}, {"": {}}]


@pytest.fixture(params=rest_is_slow(["http", "file"]))
def address(request, editor_server):
    return PAGE.as_uri() if request.param == "file" else editor_server


@pytest.fixture
def editor(address, tab):
    """The open page; nothing may be on its console at the end, and nothing be asked of another host."""
    page, seen = tab
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(address)
    page.wait_for_selector("#problem-count:not(:empty)")
    yield page
    page.evaluate("localStorage.clear()")
    page.goto("about:blank")
    console, requests = seen.console[:], seen.requests[:]
    seen.console.clear()
    seen.requests.clear()
    assert console == []
    own = (address.removesuffix("index.html"), "data:", "blob:", "about:blank")
    assert [url for url in requests if not url.startswith(own)] == []


@pytest.fixture(scope="module")
def shared_page(browser):
    """A page for what leaves no trace on it."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(PAGE.as_uri())
    yield page
    context.close()


def probe(page, name, *arguments):
    """What a function of editor_probes.js finds on the page."""
    return page.evaluate(f"given => {PROBES.strip()}.{name}(...given)", list(arguments))


def leaves(node, path=()):
    """Every parameter of the schema: what is no object with properties, or may be something else as well."""
    kinds = set(node["type"]) if isinstance(node.get("type"), list) else {node.get("type")}
    if "properties" not in node or kinds - {"object", "null", None}:
        yield ".".join(path)
    for name, child in node.get("properties", {}).items():
        yield from leaves(child, (*path, name))


def documents(count):
    """Malformed, odd, crossed and `count` mutated documents."""
    chance, mutants = random.Random(9), []
    for _ in range(count):
        mutant = DEFAULTS
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            mutant = mutate(mutant, chance)
        mutants.append(mutant)
    return [one(dotted, value) for dotted, value in BAD_DOCUMENTS] + ODD + list(CROSSED.values()) + mutants


def field(page, dotted):
    return page.locator(f'.field[data-path="{dotted}"]')


def open_to(page, dotted):
    """Opens the sections around a field; returns the field."""
    page.evaluate("dotted => reveal(dotted.split('.'))", dotted)
    return field(page, dotted)


def show_all(page):
    """All parameters, in opened sections."""
    page.locator("#search").fill("")
    page.locator("#all").check()
    page.locator("#expand").click()


def document_of(page):
    return json.loads(page.locator("#output").input_value())


def import_text(page, text, name="mine.json"):
    content = text if isinstance(text, bytes) else text.encode()
    page.evaluate("said.textContent = ''")
    page.set_input_files("#import", {"name": name, "mimeType": "application/json", "buffer": content})
    page.wait_for_function("name => said.textContent.includes(name)", arg=name)


def saved(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    return download.value.path().read_text()


def changed_fields(page):
    return page.locator(".field.changed").evaluate_all("all => all.map((one) => one.dataset.path)")


# --- the form


def test_every_parameter_of_the_schema_has_a_field(editor):
    shown = editor.locator(".field[data-path]").evaluate_all("all => all.map((one) => one.dataset.path)")
    assert sorted(shown) == sorted(leaves(SCHEMA))
    sections = editor.locator("[data-section]").evaluate_all("all => all.map((one) => one.dataset.section)")
    assert set(PARAMETERS) <= {*shown, *sections}


def test_a_field_shows_description_default_unit_and_range(editor):
    text = open_to(editor, FREQ_MIN).inner_text()
    node = SCHEMA["properties"]["preprocessing"]["properties"]["highpass_filter"]["properties"]["freq_min"]
    for words in (node["description"].replace("`", ""), "Default: 300", "A number > 0 (Hz)"):
        assert words in text
    detection = open_to(editor, "spikesorting.kilosort4.sorter.Th_universal").inner_text()
    assert "In Kilosort's own window: Th (universal), under spike detection." in detection


def test_what_is_typed_is_what_is_saved(editor):
    sweep = "preprocessing.motion_correction.detect_kwargs.exclude_sweep_ms"
    for dotted, typed, value in (
        (FREQ_MIN, "1e3", 1000),
        (FREQ_MIN, "250.5", 250.5),
        ("curation.query", "snr > 5, [a] and {b}", "snr > 5, [a] and {b}"),
        ("preprocessing.motion_correction.detect_kwargs.method", "by_channel", "by_channel"),
        (sweep, "0.1", 0.1),
        (sweep, "[1, 2]", [1, 2]),
        (sweep, "null", None),
        (sweep, '"5"', "5"),
    ):
        box = open_to(editor, dotted).locator("input").first
        box.fill(typed)
        assert get_dotted(document_of(editor), dotted, "absent") == value
        assert box.input_value() == typed


def test_a_wrong_number_is_told_in_place_and_never_taken_for_another(editor):
    box = open_to(editor, FREQ_MIN).locator("input").first
    for typed in ("-5", "one second", "", "0x10", "5 Hz", "9007199254740993", "NaN", "1e400"):
        box.fill(typed)
        assert box.get_attribute("aria-invalid") == "true"
        assert "must be a number > 0" in field(editor, FREQ_MIN).locator(".error").inner_text().lower()
        assert get_dotted(document_of(editor), FREQ_MIN) == (-5 if typed == "-5" else typed)
        assert "1 to fix" in editor.locator("#problem-count").inner_text()
    saved(editor)
    assert "rejects" in editor.locator("#said").inner_text()
    box.fill("400")
    assert box.get_attribute("aria-invalid") == "false"
    assert editor.locator("#problem-count").inner_text() == "Choose a sorter"
    chunks = open_to(editor, "job_dispatch.data_check.chunks").locator("input").first
    chunks.fill("11.7")
    assert chunks.get_attribute("aria-invalid") == "true"
    assert document_of(editor)["job_dispatch"] == {"data_check": {"chunks": 11.7}}


def test_choices_checklists_lists_and_keys(editor):
    open_to(editor, "job_dispatch.input").locator("select").select_option("nwb")
    names = "postprocessing.extensions.quality_metrics.metric_names"
    open_to(editor, names).get_by_label("num_spikes", exact=True).uncheck()
    files = open_to(editor, "job_dispatch.nwb_files")
    files.get_by_label("null").uncheck()
    files.get_by_role("button", name="Add an item").click()
    editor.keyboard.type("a, [b].nwb")
    files.get_by_role("button", name="Add an item").click()
    editor.keyboard.type("c.nwb")
    files.get_by_role("button", name="Remove item 1").click()
    info = open_to(editor, "job_dispatch.spikeinterface_info")
    info.get_by_label("null").uncheck()
    info.locator("select").select_option("object")
    open_to(editor, "job_dispatch.spikeinterface_info.reader_type").locator("input").fill("intan")
    given = open_to(editor, "job_dispatch.spikeinterface_info.reader_kwargs")
    given.get_by_role("button", name="Add a key").click()
    given.locator(".pair input").nth(0).fill("stream_id")
    given.locator(".pair input").nth(1).fill('"0"')
    document = document_of(editor)
    assert document["job_dispatch"] == {
        "input": "nwb",
        "nwb_files": ["c.nwb"],
        "spikeinterface_info": {"reader_type": "intan", "reader_kwargs": {"stream_id": "0"}},
    }
    # Emptied, the value is the empty text, and what is typed next begins anew.
    given.locator(".pair input").nth(1).fill("")
    assert get_dotted(document_of(editor), "job_dispatch.spikeinterface_info.reader_kwargs") == {"stream_id": ""}
    assert given.locator(".pair input").nth(1).input_value() == ""
    kept = [name for name in get_dotted(DEFAULTS, names) if name != "num_spikes"]
    assert get_dotted(document, names) == kept


def test_the_chosen_sorters_section_is_open_and_the_others_keep_their_values(editor):
    open_to(editor, "spikesorting.kilosort25.sorter.nPCs").locator("input").first.fill("4")
    sorter = open_to(editor, "spikesorting.sorter")
    assert sorter.get_by_label("null").is_checked()
    sorter.locator("select").select_option("kilosort4")
    assert not sorter.get_by_label("null").is_checked()
    opened = editor.locator('details[data-section^="spikesorting."][open]')
    names = opened.evaluate_all("all => all.map((one) => one.dataset.section)")
    assert [name for name in names if name.count(".") == 1] == ["spikesorting.kilosort4"]
    assert document_of(editor)["spikesorting"]["kilosort25"] == {"sorter": {"nPCs": 4}}


def test_null_and_back_changes_nothing(editor):
    show_all(editor)
    count, wrong = probe(editor, "toggleAll")
    assert count > 60
    assert wrong == []


@pytest.mark.parametrize("seed", rest_is_slow([3, 77]))
def test_fifty_edits_and_fifty_undos(editor, seed):
    import_text(editor, json.dumps(DEFAULTS))
    show_all(editor)
    good = {"document": True, "form": [], "redone": True, "edited": True}
    assert probe(editor, "editAndUndo", seed) == good


def test_undo_by_keyboard_and_reset(editor):
    box = open_to(editor, FREQ_MIN).locator("input").first
    box.press("End")
    box.press_sequentially("55")
    assert document_of(editor) == {"preprocessing": {"highpass_filter": {"freq_min": 30055}}}
    editor.keyboard.press("Control+z")
    assert document_of(editor) == {}
    editor.keyboard.press("Control+Shift+z")
    assert box.input_value() == "30055"
    field(editor, FREQ_MIN).get_by_role("button", name="Reset").click()
    assert document_of(editor) == {}
    assert box.input_value() == "300"
    editor.locator("#undo").click()
    editor.get_by_role("button", name="Reset all").click()
    assert document_of(editor) == {}
    editor.locator("#undo").click()
    assert document_of(editor) != {}


# --- the same verdicts as Python's


def pointers(errors):
    def escaped(key):
        return str(key).replace("~", "~0").replace("/", "~1")

    return sorted({("".join(f"/{escaped(key)}" for key in error.absolute_path), error.validator) for error in errors})


@pytest.mark.parametrize("mutants", rest_is_slow([100, 3000]))
def test_the_verdicts_are_those_of_python(shared_page, mutants):
    everything, valid, crossed = documents(mutants), 0, 0
    assert len(everything) > mutants + 83
    for start in range(0, len(everything), 400):
        batch = everything[start : start + 400]
        found = probe(shared_page, "verdicts", [json.dumps(document) for document in batch])
        for document, (errors, together, whole) in zip(batch, found, strict=True):
            expected = pointers(VALIDATOR.iter_errors(document))
            assert sorted({tuple(error) for error in errors}) == expected, document
            if expected:
                continue
            filled = dump(PipelineParams.model_validate(document))
            assert {key: value for key, value in json.loads(whole).items() if key != "$schema"} == filled
            problems = [*rule_problems(filled), *name_problems(filled)]
            assert sorted(path for path, _ in together) == sorted(".".join(map(str, p.path)) for p in problems)
            valid, crossed = valid + 1, crossed + bool(problems)
    assert valid > mutants / 10 and crossed > 20


def test_the_words_of_a_rule_are_those_of_python(shared_page):
    for message, document in CROSSED.items():
        problems = rule_problems(dump(PipelineParams.model_validate(document)))
        [[_, together, _]] = probe(shared_page, "verdicts", [json.dumps(document)])
        spoken = {re.sub(r"(\d)\.0\b", r"\1", problem.text) for problem in problems}
        assert spoken <= {text for _, text in together}, message


@pytest.mark.parametrize("text", TEXTS, ids=[text[:30] for text in TEXTS])
def test_what_is_not_json_is_named_as_python_names_it(text, shared_page):
    find = "text => { const found = readJson(text); return [found.problems, isObject(found.value)]; }"
    problems, is_object = shared_page.evaluate(find, text)
    if not problems:
        assert not is_object and "object is needed" in TEXTS[text]
        return
    ours = {"nested too deeply": "more than 100 brackets", "cannot be read": "too large a number"}
    ours["curation.query is given twice"] = "is given twice"
    assert ours.get(TEXTS[text], TEXTS[text]) in problems[0]["text"]
    assert problems[0]["line"] >= 1 and problems[0]["column"] >= 1


# --- files in and out


def test_defaults_in_defaults_out(editor):
    import_text(editor, json.dumps(DEFAULTS))
    assert json.loads(saved(editor)) == DEFAULTS
    assert changed_fields(editor) == []
    for choice, expected in (("whole", DEFAULTS), ("differences", {})):
        editor.locator("#output-form").select_option(choice)
        assert document_of(editor) == expected


def test_a_partial_file_stays_partial(editor):
    given = {
        "curation": {"query": 'a, [b] {c}, "d",]'},
        "nwb": {},
        "postprocessing": {"extensions": {"waveforms": None}},
    }
    import_text(editor, json.dumps(given))
    assert json.loads(saved(editor)) == given
    assert changed_fields(editor) == ["curation.query"]
    editor.locator("#output-form").select_option("whole")
    assert document_of(editor) == dump(PipelineParams.model_validate(given))


def test_the_pipeline_takes_a_file_made_here(editor, tmp_path):
    open_to(editor, FREQ_MIN).locator("input").first.fill("350")
    for choice in ("edited", "whole", "differences"):
        editor.locator("#output-form").select_option(choice)
        (tmp_path / "params.json").write_text(saved(editor))
        taken = resolve({"sorter": "spykingcircus2", "params_file": "params.json"}, tmp_path)
        assert taken.params.preprocessing.highpass_filter.freq_min == 350
        assert FREQ_MIN in taken.origins


def test_unknown_keys_are_kept_until_they_are_removed(editor):
    import_text(editor, '{"curation": {"qery": "snr > 1"}, "other": [1, {"a": 2}]}')
    assert document_of(editor) == {"curation": {"qery": "snr > 1"}, "other": [1, {"a": 2}]}
    assert "did you mean 'query'" in editor.locator("#problems").inner_text()
    rows = editor.locator("#unknown-list li")
    rows.filter(has_text="curation.qery").get_by_role("button", name="Remove").click()
    assert document_of(editor) == {"curation": {}, "other": [1, {"a": 2}]}
    rows.filter(has_text="other").get_by_role("button", name="Keep").click()
    assert not editor.locator("#unknown").is_visible()
    assert document_of(editor)["other"] == [1, {"a": 2}]


def test_settings_that_no_schema_names_are_editable(editor):
    import_text(editor, '{"postprocessing": {"extensions": {"waveforms": {"ms_befor": [1, "x"], "dtype": 5}}}}')
    extras = editor.locator('[data-extras="postprocessing.extensions.waveforms"]')
    show_all(editor)
    assert extras.locator(".pair input").evaluate_all("all => all.map((one) => one.value)") == ["ms_befor", '[1,"x"]']
    assert "did you mean 'ms_before'" in editor.locator("#problems").inner_text()
    assert field(editor, "postprocessing.extensions.waveforms.dtype").locator("input").first.input_value() == "5"
    extras.locator(".pair input").nth(1).fill("2")
    extras.get_by_role("button", name="Remove").click()
    assert document_of(editor) == {"postprocessing": {"extensions": {"waveforms": {"dtype": 5}}}}


def test_what_is_no_params_file_is_not_opened_and_shown(editor):
    for text, said in (
        ('{"job_dispatch":\n {"debug_duration": 9007199254740993}}', "line 2, column 21: job_dispatch.debug_duration"),
        ("{\n// why\n}", "line 2, column 1: a comment"),
        ('{"curation": {},\n}', "line 1, column 16: a comma before the closing bracket"),
        ("\ufeff{}", "byte order mark"),
        ('{"curation": {"query": 1, "query": NaN}}', "is given twice"),
        ("null", "a JSON object is needed"),
        ("5", "a JSON object is needed"),
    ):
        import_text(editor, text)
        assert said in editor.locator("#mistakes").inner_text()
        assert editor.evaluate("JSON.stringify(store.document)") == "{}"
    import_text(editor, b"\xff\xfe{\0}\0")
    assert "not a UTF-8 text" in editor.locator("#said").inner_text()


def test_the_validate_tab(editor):
    editor.get_by_role("tab", name="Validate JSON").click()
    rates = """'preprocessing': {"t_start": 1, "t_start": 5, "t_stop": 2}"""
    query = '"curation": {"query": "a, // [b],}", }, // why\n'
    editor.locator("#text").fill(f'\ufeff{{{query} "nwb": NaN, {rates}}}')
    editor.get_by_role("button", name="Fix").click()
    assert "preprocessing.t_start: must be below" in editor.locator("#mistakes").inner_text()
    fixed = json.loads(editor.locator("#text").input_value())
    assert fixed == {"curation": {"query": "a, // [b],}"}, "nwb": None, "preprocessing": {"t_start": 5, "t_stop": 2}}
    mistakes = editor.locator("#mistakes li")
    # The query's metric is unknown, too.
    assert mistakes.count() == 3
    mistakes.filter(has_text="t_start").get_by_role("button").first.click()
    chosen = "area => area.value.slice(area.selectionStart, area.selectionEnd)"
    assert editor.locator("#text").evaluate(chosen) == '"t_start"'
    editor.get_by_role("button", name="Open in the editor").click()
    assert document_of(editor) == fixed
    editor.get_by_role("tab", name="Validate JSON").click()
    mistakes.filter(has_text="t_start").get_by_role("button", name="Show field").click()
    assert field(editor, "preprocessing.t_start").locator("input").first.evaluate("box => box.matches(':focus')")


def test_files_can_be_dropped_on_both_tabs(editor):
    probe(editor, "drop", "editor", '{"preprocessing": {"t_start": 3}}')
    editor.wait_for_function("said.textContent.includes('dropped.json')")
    assert document_of(editor) == {"preprocessing": {"t_start": 3}}
    editor.get_by_role("tab", name="Validate JSON").click()
    probe(editor, "drop", "validate", '{"preprocessing": {"t_stat": 3}}')
    editor.wait_for_selector("#mistakes li")
    assert "did you mean 't_start'" in editor.locator("#mistakes").inner_text()


# --- finding and comparing


def test_search(editor):
    before = editor.locator("details[open]").count()
    editor.locator("#search").fill("freq_min Hz")
    found = probe(editor, "visibleFields")
    assert "preprocessing.bandpass_filter.freq_min" in found and all("freq" in name for name in found)
    editor.locator("#search").fill("isi_violations_ratio < 0.5")
    assert probe(editor, "visibleFields") == ["curation.query"]
    editor.locator("#search").fill("")
    assert editor.locator("details[open]").count() == before
    import_text(editor, '{"curation": {"query": 5}, "preprocessing": {"t_start": 3}}')
    editor.locator("#search").fill("@modified")
    assert probe(editor, "visibleFields") == ["preprocessing.t_start", "curation.query"]
    editor.locator("#search").fill("@error")
    assert probe(editor, "visibleFields") == ["curation.query"]
    editor.locator("#search").fill("")
    editor.locator("#changed-only").check()
    assert probe(editor, "visibleFields") == ["preprocessing.t_start", "curation.query"]


def test_what_was_turned_off_is_a_change(editor):
    import_text(editor, '{"postprocessing": {"extensions": {"waveforms": null, "auto_correlograms": {}}}}')
    # An import with mistakes shows the parameters to correct.
    editor.locator("#search").fill("")
    editor.locator("#changed-only").check()
    shown = editor.locator("details[data-section]").evaluate_all(
        "all => all.filter((one) => one.checkVisibility()).map((one) => one.dataset.section)"
    )
    extensions = "postprocessing.extensions"
    assert shown == ["postprocessing", extensions, f"{extensions}.waveforms", f"{extensions}.auto_correlograms"]
    # Principal components need the waveforms.
    counts = editor.locator("details[data-section] > summary > .count:visible").all_inner_texts()
    assert counts == ["2 changed, 1 to fix", "2 changed, 1 to fix", "turned off", "turned on"]


def test_differences_from_the_defaults_and_from_a_file(editor):
    import_text(editor, '{"preprocessing": {"t_start": 3}}')
    assert editor.locator("#differences li").all_inner_texts() == ["preprocessing.t_start null → 3"]
    content = b'{"preprocessing": {"t_start": 4}, "curation": {}}'
    editor.set_input_files("#compare", {"name": "other.json", "mimeType": "application/json", "buffer": content})
    editor.wait_for_function("part('difference-count').textContent.includes('other.json')")
    assert editor.locator("#differences li").all_inner_texts() == ["preprocessing.t_start 4 → 3"]


def test_it_is_kept_in_the_browser(editor):
    open_to(editor, "preprocessing.t_start").get_by_label("null").uncheck()
    editor.reload()
    assert document_of(editor) == {}
    editor.get_by_role("button", name="Restore").click()
    assert document_of(editor) == {"preprocessing": {"t_start": 0}}
    editor.reload()
    editor.get_by_role("button", name="Discard").click()
    editor.reload()
    assert not editor.locator("#restore").is_visible()


def test_parameters_are_shared_as_a_short_text(editor, visit):
    """The text has no address of this machine; it opens by pasting it, and as a part of an address."""
    given = {"curation": {"query": "snr > 5 and snr < 50 and firing_rate > 0.5 and firing_rate < 50"}}
    given |= {"spikesorting": {"sorter": "kilosort4"}, "postprocessing": {"extensions": {"waveforms": None}}}
    given["postprocessing"]["extensions"] |= {"principal_components": None}
    import_text(editor, json.dumps(given | {"nwb": {}}))
    editor.get_by_role("button", name="Copy as a short text").click()
    editor.locator("#shared").wait_for()
    text = editor.locator("#shared").input_value()
    assert re.fullmatch(r"#params=[\w-]+", text) and len(text) < len(json.dumps(given))
    page, seen = visit(PAGE.as_uri() + text)
    page.wait_for_function("said.textContent.includes('Opened the shared parameters')")
    assert document_of(page) == given
    page.locator("#reset").click()
    page.locator("#open-shared").fill(f"see {text} ")
    page.locator("#open-shared").press("Enter")
    page.wait_for_function("said.textContent.includes('Opened the shared parameters')")
    assert document_of(page) == given
    assert seen.console == []


@pytest.mark.parametrize("text", ["#params=%E0%A4%A", "#params=abc", "#params=", "#params=%7B", "params"])
def test_a_damaged_shared_text_is_reported(shared_page, text):
    shared_page.evaluate(
        "text => { said.textContent = ''; store.change(emptyObject()); return openShared(text); }", text
    )
    said = shared_page.locator("#said").inner_text()
    assert "damaged" in said or "was not opened" in said
    assert shared_page.evaluate("JSON.stringify(store.document)") == "{}"


def test_a_shared_text_cannot_unpack_to_gigabytes(shared_page):
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000, 9, wbits=-15)).decode().rstrip("=")
    shared_page.evaluate("text => { said.textContent = ''; return openShared(text); }", f"#params={bomb}")
    assert "damaged" in shared_page.locator("#said").inner_text()


# --- the command


def words_of(command):
    """The words that a shell hands to `spikerelay`."""
    script = """spikerelay() { printf '%s\\n' "$@"; }; """ + command
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_command_and_its_variants(editor):
    import_text(editor, '{"spikesorting": {"sorter": "kilosort4"}, "curation": {"query": "snr > 5"}}')
    command = editor.locator("#command")
    start = "spikerelay run /data/session results --sorter kilosort4"
    assert command.input_value() == f"{start} --params params.json"
    editor.locator("#resume").check()
    assert command.input_value() == f"{start} --params params.json --resume"
    editor.locator("#resume").uncheck()
    editor.locator("#place").select_option("slurm")
    assert command.input_value() == f"{start} --params params.json --profile slurm"
    editor.locator("#place").select_option("local")
    editor.locator("#jobs").fill("16")
    editor.locator("#data").fill("/data/my session's")
    editor.locator("#values").select_option("inline")
    words = ["run", "/data/my session's", "results", "--sorter", "kilosort4", "--set", "curation.query=snr > 5"]
    assert words_of(command.input_value()) == [*words, "--n_jobs", "16"]


def test_values_in_the_command_are_those_of_the_file(editor):
    steps = {"bandpass_filter": {"freq_min": 300.5}, "odd.name": {"a": "5"}}
    given = {
        "preprocessing": {"t_start": 3, "custom_preprocessing_pipeline": steps},
        "curation": {"query": None, "noise_neural_classifier": "5"},
        "spikesorting": {"sorter": "lupin"},
        "job_dispatch": {"nwb_files": ["a b.nwb", "it's"], "debug": True},
    }
    import_text(editor, json.dumps(given))
    editor.locator("#values").select_option("inline")
    words = words_of(editor.locator("#command").input_value())
    made = {"spikesorting": {"sorter": words[words.index("--sorter") + 1]}}
    for word in (after for before, after in pairwise(words) if before == "--set"):
        dotted, _, text = word.partition("=")
        # A text stays as it is, all else is JSON.
        value = text if dotted.endswith("classifier") else json.loads(text)
        set_dotted(made, dotted, value)
    assert made == given


def test_valid_is_shown_only_next_to_a_command_that_is_accepted(editor):
    verdict = editor.locator("#problem-count")
    assert verdict.inner_text() == "Choose a sorter"
    editor.get_by_role("button", name="Show", exact=True).click()
    assert field(editor, "spikesorting.sorter").locator(":focus").count() == 1
    field(editor, "spikesorting.sorter").get_by_label("null").uncheck()
    assert verdict.inner_text() == "Valid"
    assert document_of(editor)["spikesorting"]["sorter"] in editor.locator("#command").input_value()
    for id, wrong, text in (("data", " ", "data folder"), ("results", "", "results folder"), ("jobs", "0", "Cores")):
        before = editor.locator(f"#{id}").input_value()
        editor.locator(f"#{id}").fill(wrong)
        assert text in verdict.inner_text()
        editor.locator(f"#{id}").fill(before)
        assert verdict.inner_text() == "Valid"


# --- the first screen


def test_the_first_screen_has_the_essentials(editor):
    paths = [path for group in ESSENTIALS for path in group["paths"]]
    assert 12 <= len(paths) <= 18
    fields = editor.locator("#picks .pick").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    assert fields == paths
    assert not editor.locator("#form").is_visible()
    editor.locator("#all").check()
    assert editor.locator("#form").is_visible() and editor.locator("#picks .pick").count() == 0
    editor.locator("#all").uncheck()
    field(editor, "curation.query").locator("input").first.fill("snr > 4")
    assert document_of(editor) == {"curation": {"query": "snr > 4"}}


def test_a_picked_parameter_of_a_section_that_is_off_cannot_be_edited(editor):
    import_text(editor, '{"postprocessing": {"extensions": {"waveforms": null, "principal_components": null}}}')
    editor.locator("#search").fill("ms_before")
    box = field(editor, "postprocessing.extensions.waveforms.ms_before").locator("input").first
    assert box.is_disabled()
    editor.locator("#undo").click()
    assert box.is_enabled()


def test_the_tree_leads_to_the_sections(editor):
    tree = editor.get_by_role("navigation", name="Sections")
    tree.get_by_role("button", name="preprocessing").click()
    assert editor.locator("#all").is_checked()
    tree.get_by_role("button", name="motion_correction").click()
    section = editor.locator('[data-section="preprocessing.motion_correction"]')
    assert section.get_attribute("open") is not None
    assert 0 <= section.bounding_box()["y"] < 600
    assert tree.locator("[aria-current]").inner_text().strip() == "motion_correction"
    open_to(editor, FREQ_MIN).locator("input").first.fill("-1")
    assert "1 to fix" in tree.get_by_role("button", name="preprocessing", exact=False).first.inner_text()
    tree.get_by_role("button", name="Essentials").click()
    assert editor.locator("#picks .pick").count() > 10


def test_every_parameter_links_to_its_documentation(shared_page):
    links = shared_page.locator(".field .docs").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    assert len(links) == shared_page.locator(".field").count() > 700
    page, manual = ((generate.ROOT / name).read_text() for name in ("params_app/parameters.html", "docs/parameters.md"))
    anchors = set(re.findall(r' id="([^"]+)"', page))
    assert {link.removeprefix("parameters.html#") for link in links} - {"parameters.html"} <= anchors
    assert set(re.findall(r'<a id="([^"]+)"', manual)) == {anchor for anchor in anchors if "." in anchor}
    assert FREQ_MIN in anchors


def test_the_bar_counts_changes_and_mistakes(editor):
    import_text(editor, '{"preprocessing": {"t_start": 3, "t_stop": 9}, "spikesorting": {"sorter": "lupin"}}')
    editor.get_by_role("button", name="3 changes").click()
    names = ["preprocessing.t_start", "preprocessing.t_stop", "spikesorting.sorter"]
    assert probe(editor, "visibleFields") == names
    bar = editor.locator("#bar")
    for width, height in ((360, 640), (1440, 900), (3840, 2160)):
        editor.set_viewport_size({"width": width, "height": height})
        box = bar.bounding_box()
        assert box["y"] + box["height"] <= height + 1
        for name in ("Download", "Copy command"):
            assert bar.get_by_role("button", name=name).is_visible()


def test_an_import_shows_all_that_is_to_fix_and_nothing_else(editor):
    text = '{"curation": {"query": "snrr > 5", "qery": 1}, "preprocesing": {}, "preprocessing": {"t_start": -1}}'
    import_text(editor, text)
    problems = editor.locator("#problems").inner_text()
    for words in (
        "no metric 'snrr'; did you mean 'snr'?",
        "preprocesing: unknown",
        "curation.qery: unknown",
        "t_start",
    ):
        assert words in problems
    assert probe(editor, "visibleFields") == ["preprocessing.t_start", "curation.query"]
    assert editor.locator("#problem-count").inner_text() == "4 to fix"
    editor.get_by_role("button", name="Show the others too").click()
    assert editor.locator("#picks .pick").count() > 10
    import_text(editor, '{"spikesorting": {"sorter": "lupin"}}', "good.json")
    assert not editor.locator("#problem-box").is_visible()


def test_the_query_is_checked_as_the_pipeline_checks_it(shared_page):
    off = {"postprocessing": {"extensions": {"principal_components": None}}}
    few = {"postprocessing": {"extensions": {"quality_metrics": {"metric_names": ["snr"]}}}}
    queries = [
        "snrr > 5",
        "snr > 5",
        "nn_hit_rate > 0.5",
        "velocity_above > 1",
        "amplitude_cv > 1",
        "snr",
        "l_ratio < 1",
    ]
    queries += ["snr > ", "presence_ratio > 0.5 and foo < 1 or bar == 2", "snr > 5 # why", " ", "drift_ptp < 3"]
    documents = [part | {"curation": {"query": query}} for part in ({}, off, few) for query in queries]
    documents += [
        {"job_dispatch": {"input": "spikeinterface", "spikeinterface_info": text}}
        for text in ('{"a": 1}', "{", "x.json")
    ]
    seen = probe(shared_page, "textProblems", [json.dumps(document) for document in documents])
    named = 0
    for document, problems in zip(documents, seen, strict=True):
        expected = [
            (".".join(map(str, p.path)), p.text) for p in _text_problems(PipelineParams.model_validate(document))
        ]
        assert sorted(path for path, _ in problems) == sorted(path for path, _ in expected), document
        for (_, ours), (_, theirs) in zip(problems, expected, strict=True):
            if "no metric" in theirs or "needs" in theirs or "not computed" in theirs or "several values" in theirs:
                assert ours == theirs
                named += 1
    assert named > 15


def test_search_ranks_names_first(editor):
    for words, first in (("sorter", "spikesorting.sorter"), ("query", "curation.query"), ("freq min", FREQ_MIN)):
        editor.locator("#search").fill(words)
        assert probe(editor, "visibleFields")[0] == first
    editor.locator("#search").fill("nblocks")
    assert [name.split(".")[-1] for name in probe(editor, "visibleFields")[:2]] == ["nblocks", "nblocks"]
    editor.locator("#search").fill("n_jobs")
    editor.locator("#run-options").get_by_role("button", name="n_jobs").click()
    editor.keyboard.type("8")
    assert "--n_jobs 8" in editor.locator("#command").input_value()


# --- presets


@pytest.mark.parametrize("preset", PRESETS, ids=[preset["name"] for preset in PRESETS])
def test_the_pipeline_accepts_a_preset(preset, tmp_path):
    """Its own validation, with every value set by the file; and each value has its reason."""
    (tmp_path / "preset.json").write_text(json.dumps(preset["params"]))
    document = read_params_file(tmp_path / "preset.json", "preset.json").value
    assert whole_file_problems(PipelineParams.model_validate(document)) == []
    assert sorted(preset["reasons"]) == sorted(value_paths(preset["params"]))
    assert preset["source"] and preset["url"].startswith("https://") and preset["about"].endswith(".")


def value_paths(node, path=()):
    if not isinstance(node, dict):
        return [".".join(path)]
    return [dotted for name, child in node.items() for dotted in value_paths(child, (*path, name))]


def test_presets_show_their_reasons_and_replace_each_other(editor):
    names = " ".join(preset["name"] for preset in PRESETS)
    for probe_name in ("Neuropixels 1.0", "2.0, four shanks", "Ultra", "Tetrodes", "32 channels", "Utah"):
        assert probe_name in names
    import_text(editor, '{"curation": {"query": "snr > 5"}}')
    for preset in PRESETS:
        editor.locator("#preset").select_option(preset["name"])
        assert document_of(editor) == {"curation": {"query": "snr > 5"}} | preset["params"]
        assert editor.locator("#problem-count").inner_text() == "Valid"
        text = editor.locator("#preset-about").inner_text()
        assert preset["source"] in text and all(reason in text for reason in preset["reasons"].values())
    editor.locator("#preset").select_option("")
    assert document_of(editor) == {"curation": {"query": "snr > 5"}}


# --- for everybody


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, scheme):
    page, _ = visit(PAGE, bypass_csp=True, color_scheme=scheme)
    import_text(page, '{"curation": {"query": 5}, "other": 1, "preprocessing": {"t_start": 3, "highpass_filter": 1}}')
    page.locator("#preset").select_option(index=1)
    show_all(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.get_by_role("tab", name="Validate JSON").click()
    page.locator("#text").fill('{"curation": {"query": 5}}')
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_nothing_overflows(editor):
    long = "x" * 300
    import_text(editor, json.dumps({"curation": {"query": long}, long: {long: long}, "preprocessing": {"t_start": 3}}))
    show_all(editor)
    editor.evaluate("text => checkText(text)", json.dumps({long: 1}))
    for width in (360, 501, 768, 1440, 3840):
        editor.set_viewport_size({"width": width, "height": 800})
        for tab in ("Editor", "Validate JSON"):
            editor.get_by_role("tab", name=tab).click()
            assert probe(editor, "overflowing") == []


def test_keyboard_alone(editor):
    def tab_to(selector):
        for _ in range(200):
            if editor.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            editor.keyboard.press("Tab")
        raise AssertionError(selector)

    editor.keyboard.press("Tab")
    editor.keyboard.press("ArrowRight")
    assert editor.locator("#validate").is_visible()
    editor.keyboard.press("ArrowLeft")
    tab_to("#all")
    editor.keyboard.press("Space")
    tab_to('[data-section="preprocessing"] > summary')
    editor.keyboard.press("Enter")
    tab_to('[data-path="preprocessing.min_preprocessing_duration"] input')
    editor.keyboard.press("Control+a")
    editor.keyboard.type("60")
    tab_to("#download")
    with editor.expect_download() as download:
        editor.keyboard.press("Enter")
    assert json.loads(download.value.path().read_text()) == {"preprocessing": {"min_preprocessing_duration": 60}}


# --- hostile input, and what the page holds


def test_hostile_keys_and_values_are_text(editor, address):
    polluting, text = '"__proto__": {"polluted": 1}', json.dumps(HOSTILE)
    info = f'{{"reader_type": {text}, "reader_kwargs": {{"__proto__": {text}}}}}'
    parts = [polluting, f'"constructor": {{"prototype": {{{polluting}}}}}', f"{text}: {text}"]
    parts += [f'"curation": {{"query": {text}, {polluting}}}', f'"job_dispatch": {{"spikeinterface_info": {info}}}']
    document = "{" + ", ".join(parts) + "}"
    import_text(editor, document, "<b>.json")
    show_all(editor)
    assert document_of(editor) == json.loads(document)
    assert json.loads(saved(editor)) == json.loads(document)
    editor.goto(f"{address}#params={quote(document)}")
    editor.reload()
    editor.wait_for_function("said.textContent.includes('the shared parameters')")
    assert document_of(editor) == json.loads(document)
    editor.get_by_role("tab", name="Validate JSON").click()
    editor.locator("#text").fill(document)
    assert probe(editor, "pollution") == [None, None, 0, "SpikeRelay parameters"]
    assert editor.locator("b").count() == 0


def test_the_policy_lets_nothing_run_that_is_not_the_pages():
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', PAGE.read_text())[1]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    scripts = "\n".join(file.read_text() for file in (APP / "js").glob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts)


def test_the_page_is_light_and_the_validator_is_the_published_one():
    files = [file for pattern in ("index.html", "*.css", "js/*.js", "vendor/*.js") for file in APP.glob(pattern)]
    assert sum(file.stat().st_size for file in files) <= 300_000
    digest = hashlib.sha256((APP / "vendor" / "ajv7.min.js").read_bytes()).hexdigest()
    assert digest in (APP / "vendor" / "README.md").read_text()


def test_what_the_page_holds_is_what_the_pipeline_has(shared_page):
    held = shared_page.evaluate("JSON.stringify([SCHEMA, DEFAULTS, RULES, PRESETS, ESSENTIALS])")
    rules = json.loads((generate.ROOT / "pipeline" / "params_rules.json").read_text())["rules"]
    assert json.loads(held) == [SCHEMA, DEFAULTS, rules, PRESETS, ESSENTIALS]
