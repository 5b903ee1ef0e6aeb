// The page around the form: its tools, files in and out, the two tabs, what is kept in this browser, links.
"use strict";

const KEPT = "spikerelay.params";
const part = (id) => document.getElementById(id);
const store = new Store();
const form = new Form(part("form"), part("picks"), store);
const tree = new SectionTree(part("tree"), form, chooseSection);
let problems = [];
// The section that the tree shows as chosen; null is the essential parameters.
let chosen = null;
// What the document is compared with: the defaults, or a second file.
let baseline = { name: "the defaults", document: emptyObject() };

const say = (text) => { part("said").textContent = text; };

// --- what follows from each change

function update(document) {
  problems = problemsOf(document);
  form.update(document, problems);
  tree.show(chosen);
  showProblemList();
  showUnknown(document);
  showOutput();
  showCommand();
  part("undo").disabled = !store.past.length;
  part("redo").disabled = !store.future.length;
  keep(document);
}

function showProblemList() {
  part("problem-lead").textContent = problems.length ? "Only the parameters with mistakes are shown:" : "All mistakes are fixed.";
  part("problems").replaceChildren(...problems.map(({ path, text }) => element("li", {}, button(`${path.join(".") || "the document"}: ${text}`, () => reveal(path), { class: "link" }))));
}

// The page says "Valid" only where the command would be accepted as well.
function showVerdict() {
  const missing = problems.length ? null : missingInCommand();
  const changes = differences(resolved(emptyObject()), resolved(store.document)).length;
  part("changes").textContent = changes === 1 ? "1 change" : `${changes} changes`;
  part("changes").disabled = !changes;
  part("problem-count").textContent = problems.length ? `${problems.length} to fix` : missing?.text ?? "Valid";
  part("problem-count").className = problems.length || missing ? "wrong" : "right";
  part("show-problems").hidden = !problems.length && !missing;
}

// What the command lacks although the parameters are valid: { text, go }.
function missingInCommand() {
  const at = (id) => () => part(id).focus();
  if (get(store.document, SORTER) == null) return { text: "Choose a sorter", go: () => reveal(SORTER) };
  if (!part("data").value.trim()) return { text: "Enter the data folder", go: at("data") };
  if (!part("results").value.trim()) return { text: "Enter the results folder", go: at("results") };
  if (!/^([1-9]\d*)?$/.test(part("jobs").value.trim())) return { text: "Cores: an integer of at least 1", go: at("jobs") };
  return null;
}

function showProblems() {
  if (problems.length) filterBy("@error");
  else missingInCommand()?.go();
}

function showUnknown(document) {
  const paths = unknownPaths(document).filter((path) => !keptUnknown.has(pointerOf(path)));
  part("unknown").hidden = !paths.length;
  part("unknown-list").replaceChildren(...paths.map((path) => element("li", {}, `${path.join(".")}: ${shown(get(document, path))} `,
    button("Keep", () => { keptUnknown.add(pointerOf(path)); showUnknown(store.document); say(`Kept ${path.join(".")}; the pipeline rejects it`); }),
    button("Remove", () => store.change(without(store.document, path))))));
}

const keptUnknown = new Set();

// --- which parameters are shown

function arrange() {
  const start = performance.now();
  const [text, changedOnly, all] = [part("search").value, part("changed-only").checked, part("all").checked];
  const count = form.arrange({ text, changedOnly, all });
  const options = optionsNamed(text);
  part("run-options").replaceChildren(...options);
  part("found").textContent = text || changedOnly ? `${count + options.length} found` : "";
  part("folds").hidden = form.place.hidden;
  part("problem-box").hidden = !text.includes("@error");
  tree.show(chosen);
  form.place.dataset.searchMs = performance.now() - start;
}

function filterBy(text) {
  part("search").value = text;
  part("changed-only").checked = false;
  arrange();
  scrollTo(0, 0);
  if (!part("problem-box").hidden) part("problem-box").scrollIntoView({ block: "nearest" });
}

// Options of the command that people search among the parameters.
const RUN_OPTIONS = [
  { name: "n_jobs", words: "n_jobs cores cpus threads workers parallel", about: "Cores of the run, which the pipeline divides among its tasks. An option of the command, not a parameter.", id: "jobs" },
  { name: "--resume", words: "resume continue again", about: "Continue an earlier run. An option of the command, not a parameter.", id: "resume" },
  { name: "--profile slurm", words: "slurm cluster profile hpc", about: "Run each task as a job of a SLURM cluster. An option of the command, not a parameter.", id: "place" },
];

function optionsNamed(text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  const named = words.length ? RUN_OPTIONS.filter((option) => words.every((word) => option.words.includes(word))) : [];
  return named.map(({ name, about, id }) => element("li", {}, button(name, () => part(id).focus(), { class: "link" }), ` ${about}`));
}

function chooseSection(entry) {
  chosen = entry;
  part("all").checked = entry !== null;
  filterBy("");
  if (entry) form.reveal(entry.path);
}

// Shows the field of a path, or the nearest part around it, whatever is shown now.
function reveal(path) {
  if (form.isHidden(path)) {
    chosen = undefined;
    part("all").checked = true;
    filterBy("");
  }
  form.reveal(path);
}

function switchAll() {
  chosen = part("all").checked ? undefined : null;
  arrange();
}

// --- the file that is made

const OUTPUTS = { edited: (document) => document, whole: resolved, differences: differencesOnly };
const output = () => asText(OUTPUTS[part("output-form").value](store.document));

function showOutput() {
  part("output").value = output();
  const rows = differences(resolved(baseline.document), resolved(store.document));
  part("difference-count").textContent = `${rows.length} different from ${baseline.name}`;
  part("differences").replaceChildren(...rows.map(({ path, before, after }) => element("li", {},
    button(path.join("."), () => reveal(path), { class: "link" }), ` ${shown(before)} \u2192 ${shown(after)}`)));
}

function fileName() {
  return part("file-name").value.trim() || "params.json";
}

function warnIfInvalid(verb) {
  const missing = missingInCommand();
  if (problems.length) say(`${verb}, but ${problems.length} to fix: the pipeline rejects this file`);
  else say(missing ? `${verb}. ${missing.text}: the pipeline rejects a run without it` : verb);
}

function download() {
  const file = URL.createObjectURL(new Blob([output()], { type: "application/json" }));
  element("a", { href: file, download: fileName() }).click();
  URL.revokeObjectURL(file);
  warnIfInvalid(`Downloaded ${fileName()}`);
}

// Where the clipboard is closed to the page, the text is selected for the reader to copy.
async function copy(source, what) {
  try {
    await navigator.clipboard.writeText(source.value);
    warnIfInvalid(`Copied ${what}`);
  } catch {
    source.select();
    say(document.execCommand("copy") ? `Copied ${what}` : "Press Ctrl+C to copy what is selected");
  }
}

function showCommand() {
  const value = (id) => part(id).value.trim();
  const run = { data: value("data"), results: value("results"), jobs: value("jobs"), file: fileName() };
  run.slurm = value("place") === "slurm";
  run.inline = value("values") === "inline";
  run.resume = part("resume").checked;
  part("command").value = commandLine(store.document, run);
  part("command-file").textContent = run.inline ? "" : `The command reads ${run.file}: download it into the folder where you run the command.`;
  showVerdict();
}

// --- files in

// Takes a JSON text as the document; what cannot be read is shown on the other tab.
function open(text, name) {
  const { value, problems: mistakes } = readJson(text);
  if (mistakes.length || !isObject(value)) {
    showTab("validate");
    part("text").value = text;
    validate();
    say(`${name} was not opened: see what is wrong with it`);
    return false;
  }
  keptUnknown.clear();
  store.memory.clear();
  store.change(value);
  filterBy(problems.length ? "@error" : "");
  say(problems.length ? `Opened ${name}: ${problems.length} to fix` : `Opened ${name}`);
  return true;
}

let preset = null;

// What another preset set before, and was not edited since, returns to its default.
function usePreset() {
  const before = preset ? leavesOf(preset.values, []) : [];
  const kept = before.reduce((made, { path, value }) => (isEqual(get(made, path), value) ? reset(made, path) : made), store.document);
  const next = PRESETS.find(({ name }) => name === part("preset").value);
  preset = next ? { ...next, values: readJson(JSON.stringify(next.params)).value } : null;
  store.change(preset ? leavesOf(preset.values, []).reduce((made, { path, value }) => put(made, path, value), kept) : kept);
  showPreset();
}

function showPreset() {
  part("preset-about").hidden = !preset;
  if (!preset) return;
  const { name, about, source, url, reasons, values } = preset;
  const rows = leavesOf(values, []).map(({ path, value }) => element("li", {}, button(path.join("."), () => reveal(path), { class: "link" }), ` = ${shown(value)}: ${reasons[path.join(".")]}`));
  part("preset-summary").textContent = `${name}: ${rows.length} values, and why`;
  part("preset-reasons").replaceChildren(element("p", {}, about), element("ul", {}, ...rows), element("p", {}, "Source: ", element("a", { href: url, rel: "noreferrer" }, source), "."));
  say(`Set what ${name} needs; all else stayed`);
}

async function readFile(file, take) {
  if (!file) return;
  const bytes = await file.arrayBuffer();
  try {
    // A byte order mark is kept, so that it can be reported.
    take(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), file.name);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    say(`${file.name} is not a UTF-8 text file`);
  }
}

function compareWith(text, name) {
  const { value, problems: mistakes } = readJson(text);
  if (mistakes.length || !isObject(value)) return say(`${name} is not a params file: ${mistakes[0]?.text ?? "no object"}`);
  baseline = { name, document: value };
  showOutput();
}

// --- what is kept in this browser, and links

function keep(document) {
  try {
    if (Object.keys(document).length) localStorage.setItem(KEPT, JSON.stringify({ time: Date.now(), text: JSON.stringify(document) }));
    else if (part("restore").hidden) localStorage.removeItem(KEPT);
  } catch {
    part("not-kept").hidden = false;
  }
}

function keptBefore() {
  try {
    return JSON.parse(localStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

function offerRestore() {
  const kept = keptBefore();
  if (typeof kept?.text !== "string") return;
  part("restore").hidden = false;
  part("restore-time").textContent = new Date(kept.time).toLocaleString();
  part("restore-yes").onclick = () => { part("restore").hidden = true; open(kept.text, "what was kept"); };
  part("restore-no").onclick = () => { part("restore").hidden = true; keep(store.document); };
}

async function openShared(text) {
  try {
    open(await jsonOf(text), "the shared parameters");
  } catch (error) {
    if (!(error instanceof SharedError)) throw error;
    say(`The shared text is damaged: copy all of it, from ${SHARED} on`);
  }
}

function openLink() {
  if (location.hash.startsWith(SHARED)) openShared(location.hash);
}

async function share() {
  part("shared").value = SHARED + await packed(JSON.stringify(differencesOnly(store.document)));
  part("shared").hidden = false;
  copy(part("shared"), "the text");
}

// --- the other tab: a text with its mistakes

function validate() {
  const text = part("text").value;
  const list = text.trim() ? textProblems(text) : [];
  part("verdict").textContent = text.trim() ? (list.length ? `${list.length} to fix` : validText(text)) : "";
  part("verdict").className = list.length ? "wrong" : "right";
  part("mistakes").replaceChildren(...list.map(mistake));
  part("fix").hidden = !readJson(text).problems.length || repaired(text) === text;
}

function validText(text) {
  const hasSorter = get(readJson(text).value, SORTER) != null;
  return hasSorter ? "Valid" : "Valid as a file; it names no sorter: add --sorter to the command";
}

// [{ line, column, offset, path, text }], in the order of the text.
function textProblems(text) {
  const { value, places, problems: mistakes } = readJson(text);
  if (mistakes.length) return mistakes;
  const placed = problemsOf(value).map((problem) => {
    const offset = offsetOf(places, problem.path);
    return { ...problem, offset, ...placeOf(text, offset) };
  });
  return placed.sort((a, b) => a.offset - b.offset);
}

function offsetOf(places, path) {
  for (let length = path.length; length >= 0; length -= 1) {
    const offset = places.get(pointerOf(path.slice(0, length)));
    if (offset !== undefined) return offset;
  }
}

function mistake({ line, column, offset, path, text }) {
  const words = [path.join("."), text].filter(Boolean).join(": ");
  const show = button(`line ${line}, column ${column}: ${words}`, () => select(offset), { class: "link" });
  const field = path.length ? [" ", button("Show field", () => { showTab("editor"); reveal(path); })] : [];
  return element("li", {}, show, ...field);
}

function select(offset) {
  const area = part("text");
  const end = area.value.slice(offset).search(/[\n,:]/);
  area.focus();
  area.setSelectionRange(offset, end < 0 ? area.value.length : offset + Math.max(end, 1));
  const line = placeOf(area.value, offset).line;
  area.scrollTop = (line - 4) * parseFloat(getComputedStyle(area).lineHeight);
}

function showTab(name) {
  for (const tab of document.querySelectorAll('[role="tab"]')) {
    const isShown = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(isShown));
    tab.tabIndex = isShown ? 0 : -1;
    part(tab.getAttribute("aria-controls")).hidden = !isShown;
  }
}

function moveTab(event) {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const other = document.querySelector('[role="tab"][aria-selected="false"]');
  other.focus();
  other.click();
}

// --- wiring

function undoKeys(event) {
  const key = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key) || part("editor").hidden || event.target.closest("aside, .tools, #bar")) return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) store.redo();
  else store.undo();
}

function takeDrops(place, take) {
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    readFile(event.dataTransfer.files[0], take);
  });
}

const on = (id, event, action) => part(id).addEventListener(event, action);
const filesOf = (take) => (event) => { readFile(event.target.files[0], take); event.target.value = ""; };
const checkText = (text) => { part("text").value = text; validate(); };

for (const tab of ["editor", "validate"]) on(`tab-${tab}`, "click", () => showTab(tab));
document.querySelector('[role="tablist"]').addEventListener("keydown", moveTab);
on("search", "input", arrange);
on("changed-only", "change", arrange);
on("all", "change", switchAll);
on("changes", "click", () => filterBy("@modified"));
on("show-problems", "click", showProblems);
on("show-everything", "click", () => filterBy(""));
on("expand", "click", () => form.openAll(true));
on("collapse", "click", () => form.openAll(false));
on("undo", "click", () => store.undo());
on("redo", "click", () => store.redo());
on("reset", "click", () => {
  part("preset").value = "";
  usePreset();
  store.change(emptyObject());
  say("All parameters have their defaults; Undo brings the others back");
});
on("import", "change", filesOf(open));
on("preset", "change", usePreset);
on("output-form", "change", showOutput);
on("download", "click", download);
on("copy", "click", () => copy(part("output"), "the file's text"));
on("share", "click", share);
on("open-shared", "change", (event) => { openShared(event.target.value); event.target.value = ""; });
on("copy-command", "click", () => copy(part("command"), "the command"));
on("compare", "change", filesOf(compareWith));
on("compare-defaults", "click", () => { baseline = { name: "the defaults", document: emptyObject() }; showOutput(); });
for (const id of ["file-name", "data", "results", "jobs", "place", "values", "resume"]) on(id, "input", showCommand);
on("text", "input", validate);
on("text-file", "change", filesOf(checkText));
on("fix", "click", () => checkText(repaired(part("text").value)));
on("text-open", "click", () => { if (open(part("text").value, "the text")) showTab("editor"); });
document.addEventListener("keydown", undoKeys);
window.addEventListener("hashchange", openLink);
takeDrops(part("editor"), open);
takeDrops(part("validate"), checkText);

part("preset").append(...PRESETS.map(({ name }) => element("option", { value: name }, name)));
part("all-count").textContent = form.fields.size;
store.listeners.push(update);
arrange();
showOutput();
showCommand();
offerRestore();
// For the tests and benchmarks: from here on the form can be used, in milliseconds from the page's start.
document.documentElement.dataset.ready = performance.now();
setTimeout(() => {
  update(store.document);
  openLink();
});
