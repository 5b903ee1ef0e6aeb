// The page around the form: its tools, files in and out, the two tabs, what is kept in this browser, links.
"use strict";

const KEPT = "spikerelay.params";
const LINK = "#params=";
const part = (id) => document.getElementById(id);
const store = new Store();
const form = new Form(part("form"), store);
let problems = [];
// What the document is compared with: the defaults, or a second file.
let baseline = { name: "the defaults", document: emptyObject() };

const say = (text) => { part("said").textContent = text; };

// --- what follows from each change

function update(document) {
  problems = problemsOf(document);
  form.update(document, problems);
  showProblemList();
  showUnknown(document);
  showOutput();
  showCommand();
  part("undo").disabled = !store.past.length;
  part("redo").disabled = !store.future.length;
  keep(document);
}

function showProblemList() {
  part("problem-count").textContent = problems.length ? `${problems.length} to fix` : "Valid";
  part("problem-count").className = problems.length ? "wrong" : "right";
  part("problems").replaceChildren(...problems.map(({ path, text }) => element("li", {}, button(`${path.join(".") || "the document"}: ${text}`, () => form.reveal(path), { class: "link" }))));
}

function showUnknown(document) {
  const paths = unknownPaths(document).filter((path) => !keptUnknown.has(pointerOf(path)));
  part("unknown").hidden = !paths.length;
  part("unknown-list").replaceChildren(...paths.map((path) => element("li", {}, `${path.join(".")}: ${shown(get(document, path))} `,
    button("Keep", () => { keptUnknown.add(pointerOf(path)); showUnknown(store.document); say(`Kept ${path.join(".")}; the pipeline rejects it`); }),
    button("Remove", () => store.change(without(store.document, path))))));
}

const keptUnknown = new Set();

// --- the file that is made

const OUTPUTS = { edited: (document) => document, whole: resolved, differences: differencesOnly };
const output = () => asText(OUTPUTS[part("output-form").value](store.document));

function showOutput() {
  part("output").value = output();
  const rows = differences(resolved(baseline.document), resolved(store.document));
  part("difference-count").textContent = `${rows.length} different from ${baseline.name}`;
  part("differences").replaceChildren(...rows.map(({ path, before, after }) => element("li", {},
    button(path.join("."), () => form.reveal(path), { class: "link" }), ` ${shown(before)} \u2192 ${shown(after)}`)));
}

function fileName() {
  return part("file-name").value.trim() || "params.json";
}

function warnIfInvalid(verb) {
  say(problems.length ? `${verb}, but ${problems.length} to fix: the pipeline rejects this file` : verb);
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
  part("command").value = commandLine(store.document, { data: value("data"), results: value("results"), sorter: value("sorter"), jobs: value("jobs"), file: fileName() });
  part("sorter-by-file").hidden = get(store.document, ["spikesorting", "sorter"]) == null;
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
  say(`Opened ${name}`);
  return true;
}

function usePreset() {
  const preset = PRESETS.find(({ name }) => name === part("preset").value);
  part("preset-about").hidden = !preset;
  if (!preset) return;
  const values = differences(emptyObject(), readJson(JSON.stringify(preset.params)).value, []);
  store.change(values.flatMap(({ path, after }) => leavesOf(after, path)).reduce((made, { path, value }) => put(made, path, value), store.document));
  part("preset-about").replaceChildren(`${preset.about} Source: `, element("a", { href: preset.url, rel: "noreferrer" }, preset.source), ".");
  say(`Set what ${preset.name} needs; all else stayed`);
}

function leavesOf(value, path) {
  return isObject(value) ? Object.entries(value).flatMap(([key, item]) => leavesOf(item, [...path, key])) : [{ path, value }];
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

function openLink() {
  if (!location.hash.startsWith(LINK)) return false;
  try {
    return open(decodeURIComponent(location.hash.slice(LINK.length)), "the link's parameters");
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    say("The link is damaged");
    return false;
  }
}

function makeLink() {
  const small = JSON.stringify(differencesOnly(store.document));
  history.replaceState(null, "", LINK + encodeURIComponent(small));
  part("link").value = location.href;
  part("link").hidden = false;
  copy(part("link"), "the link");
}

// --- the other tab: a text with its mistakes

function validate() {
  const text = part("text").value;
  const list = text.trim() ? textProblems(text) : [];
  part("verdict").textContent = text.trim() ? (list.length ? `${list.length} to fix` : "Valid") : "";
  part("verdict").className = list.length ? "wrong" : "right";
  part("mistakes").replaceChildren(...list.map(mistake));
  part("fix").hidden = !readJson(text).problems.length || repaired(text) === text;
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
  const field = path.length ? [" ", button("Show field", () => { showTab("editor"); form.reveal(path); })] : [];
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

function search() {
  const start = performance.now();
  const count = form.search(part("search").value, part("changed-only").checked);
  part("found").textContent = part("search").value || part("changed-only").checked ? `${count} found` : "";
  form.place.dataset.searchMs = performance.now() - start;
}

function undoKeys(event) {
  const key = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key) || part("editor").hidden || event.target.closest("aside, .tools")) return;
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
on("search", "input", search);
on("changed-only", "change", search);
on("expand", "click", () => form.openAll(true));
on("collapse", "click", () => form.openAll(false));
on("undo", "click", () => store.undo());
on("redo", "click", () => store.redo());
on("reset", "click", () => { store.change(emptyObject()); say("All parameters have their defaults; Undo brings the others back"); });
on("import", "change", filesOf(open));
on("preset", "change", usePreset);
on("output-form", "change", showOutput);
on("download", "click", download);
on("copy", "click", () => copy(part("output"), "the file's text"));
on("make-link", "click", makeLink);
on("copy-command", "click", () => copy(part("command"), "the command"));
on("compare", "change", filesOf(compareWith));
on("compare-defaults", "click", () => { baseline = { name: "the defaults", document: emptyObject() }; showOutput(); });
for (const id of ["file-name", "data", "results", "sorter", "jobs"]) on(id, "input", showCommand);
on("text", "input", validate);
on("text-file", "change", filesOf(checkText));
on("fix", "click", () => checkText(repaired(part("text").value)));
on("text-open", "click", () => { if (open(part("text").value, "the text")) showTab("editor"); });
document.addEventListener("keydown", undoKeys);
window.addEventListener("hashchange", openLink);
takeDrops(part("editor"), open);
takeDrops(part("validate"), checkText);

part("preset").append(...PRESETS.map(({ name }) => element("option", { value: name }, name)));
part("sorter").append(...entries.get("/spikesorting/sorter").choices.map((name) => element("option", { value: name }, name)));
store.listeners.push(update);
showOutput();
showCommand();
offerRestore();
// Told to the tests and benchmarks: from here on the form can be used, in milliseconds from the page's start.
document.documentElement.dataset.ready = performance.now();
setTimeout(() => {
  if (!openLink()) update(store.document);
});
