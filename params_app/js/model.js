// The parameters apart from the page: what the schema holds, the document that is edited, its history, its differences.
// A document is a partial params file: what it does not hold has its default. Documents are never changed in place.
"use strict";

const defaultDocument = readJson(JSON.stringify(DEFAULTS)).value;

// --- what the schema holds

// One entry for each section and parameter, in the schema's order, by pointer.
const entries = new Map();

function enter(node, path, parent) {
  const types = [node.type ?? []].flat();
  const isSection = hasOwn(node, "properties");
  // Settings that the schema merely names, for a section that is handed on to a library, have no type.
  const isLibrary = types.length === 0;
  const kinds = isLibrary ? [isSection ? "object" : "any"] : types.filter((type) => type !== "null");
  const entry = {
    node, path, parent, isSection, isLibrary, kinds, children: [], pointer: pointerOf(path), name: path.at(-1) ?? "", dotted: path.join("."),
    isNullable: types.includes("null"), isOpen: isSection && node.additionalProperties === true,
    isField: !isSection || kinds.some((kind) => kind !== "object"),
    choices: node.enum?.filter((choice) => choice !== null),
    default: get(defaultDocument, path) ?? (isLibrary ? undefined : node.default),
  };
  entries.set(entry.pointer, entry);
  if (isSection) entry.children = Object.entries(node.properties).map(([name, child]) => enter(child, [...path, name], entry));
  return entry;
}

// Where the parameter reference describes an entry: its row, or that of the part around it that has one.
function documentation(entry) {
  const isNested = entry.isLibrary || (entry.parent.isField && entry.parent.isSection);
  if (isNested) return documentation(entry.parent);
  return entry.parent === root && !entry.isSection ? "parameters.html" : `parameters.html#${entry.dotted}`;
}

// The entry of a path, or of the nearest part around it that the schema has.
function nearestEntry(path) {
  for (let length = path.length; length >= 0; length -= 1) {
    const found = entries.get(pointerOf(path.slice(0, length)));
    if (found) return found;
  }
}

// --- documents

// The value at a path, undefined when there is none.
function get(document, path) {
  let value = document;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

function put(document, [key, ...rest], value) {
  if (key === undefined) return value;
  const copy = Array.isArray(document) ? [...document] : Object.assign(emptyObject(), isObject(document) ? document : {});
  copy[key] = rest.length ? put(copy[key], rest, value) : value;
  return copy;
}

function without(document, path) {
  const [key, ...rest] = path;
  const part = isObject(document) && hasOwn(document, key) ? document[key] : undefined;
  if (part === undefined) return document;
  if (rest.length) return put(document, [key], without(part, rest));
  const copy = Object.assign(emptyObject(), document);
  delete copy[key];
  return copy;
}

// As `without`; sections that are left empty go too, where that says the same.
function reset(document, path) {
  let kept = without(document, path);
  for (let length = path.length - 1; length > 0; length -= 1) {
    const parent = path.slice(0, length);
    const part = get(kept, parent);
    if (!isObject(part) || Object.keys(part).length || !isObject(nearestEntry(parent).default)) break;
    kept = without(kept, parent);
  }
  return kept;
}

// What a parameter is: the document's value, or its default; undefined when it has neither.
function current(document, entry) {
  const own = get(document, entry.path);
  return own === undefined ? entry.default : own;
}

// The document with every default filled in, as the pipeline resolves it.
function filled(entry, value) {
  if (!entry.isSection || !isObject(value)) return value;
  const all = emptyObject();
  for (const child of entry.children) {
    const own = hasOwn(value, child.name) ? value[child.name] : startOf(child);
    if (own !== undefined) all[child.name] = filled(child, own);
  }
  for (const [key, extra] of Object.entries(value)) if (!hasOwn(all, key)) all[key] = extra;
  return all;
}

function startOf(child) {
  if (child.name === "$schema" || child.isLibrary) return undefined;
  return child.default ?? (child.isSection && !child.isNullable ? emptyObject() : child.default);
}

const resolved = (document) => filled(root, document);

function isEqual(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => isEqual(item, b[index]));
  if (!isObject(a) || !isObject(b)) return Object.is(a, b) || a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => hasOwn(b, key) && isEqual(a[key], b[key]));
}

// [{ path, before, after }] of two documents; objects that both have are gone into.
function differences(before, after, path = []) {
  if (isEqual(before, after)) return [];
  if (!isObject(before) || !isObject(after)) return [{ path, before, after }];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const part = (object, key) => (hasOwn(object, key) ? object[key] : undefined);
  return keys.flatMap((key) => differences(part(before, key), part(after, key), [...path, key]));
}

// The smallest document with the same meaning.
function differencesOnly(document) {
  const changed = differences(resolved(emptyObject()), resolved(document)).filter(({ after }) => after !== undefined);
  return changed.reduce((small, { path, after }) => put(small, path, after), emptyObject());
}

// The paths that a document holds and the schema does not allow.
function unknownPaths(document, entry = root) {
  if (!entry.isSection || !isObject(document)) return [];
  return Object.entries(document).flatMap(([key, value]) => {
    const child = entries.get(pointerOf([...entry.path, key]));
    if (child) return unknownPaths(value, child);
    return entry.isOpen ? [] : [[...entry.path, key]];
  });
}

const asText = (document) => JSON.stringify(document, null, 4) + "\n";

// --- a value of a kind, to begin with

function firstValue(entry, kind) {
  const { node } = entry;
  if (entry.choices) return entry.choices[0];
  if (kind === "array") return [];
  if (kind === "object") return emptyObject();
  if (kind === "boolean") return false;
  return kind === "string" || kind === "any" ? "" : firstNumber(node);
}

function firstNumber({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  const fits = (number) => !(number < minimum || number > maximum || number <= exclusiveMinimum || number >= exclusiveMaximum);
  return [0, 1, 0.5, minimum, maximum].find(fits) ?? 0;
}

// --- what is edited

class Store {
  constructor() {
    this.document = emptyObject();
    this.past = [];
    this.future = [];
    this.listeners = [];
    this.lastMark = null;
    // What a parameter was before it was set to null, and before it no longer was, by pointer.
    this.memory = new Map();
  }

  // Edits with the same mark, one after the other, are undone together: the letters that are typed into one field.
  change(document, mark = null) {
    if (document === this.document) return;
    if (mark === null || mark !== this.lastMark) this.past.push(this.document);
    this.lastMark = mark;
    this.future = [];
    this.document = document;
    this.tell();
  }

  set(entry, value, mark = entry.pointer) {
    this.change(put(this.document, entry.path, value), mark);
  }

  reset(entry) {
    this.change(reset(this.document, entry.path));
  }

  // To null and back. The value comes back as it was, a default as a default.
  toggleNull(entry) {
    const own = get(this.document, entry.path);
    const isOff = offValues(entry).includes(current(this.document, entry));
    const memory = this.memory.get(entry.pointer) ?? {};
    memory[isOff ? "off" : "on"] = { own };
    this.memory.set(entry.pointer, memory);
    const known = memory[isOff ? "on" : "off"] ?? { own: isOff ? onValue(entry) : offValue(entry) };
    this.change(known.own === undefined ? reset(this.document, entry.path) : put(this.document, entry.path, known.own));
  }

  undo() {
    this.move(this.past, this.future);
  }

  redo() {
    this.move(this.future, this.past);
  }

  move(from, to) {
    if (!from.length) return;
    to.push(this.document);
    this.document = from.pop();
    this.lastMark = null;
    this.tell();
  }

  tell() {
    for (const listener of this.listeners) listener(this.document);
  }
}

// A step of the library's is off when it is not there, a parameter when it is null.
const offValues = (entry) => (entry.isLibrary ? [undefined, null] : [null]);
const canBeOff = (entry) => entry.isNullable || (entry.isLibrary && entry.isSection);
const offValue = (entry) => (entry.isLibrary || entry.default === null ? undefined : null);
function onValue(entry) {
  return entry.default === null || entry.default === undefined ? firstValue(entry, entry.isSection ? "object" : entry.kinds[0]) : undefined;
}

const root = enter(SCHEMA, [], null);

// --- the command that runs the pipeline

const SORTER = ["spikesorting", "sorter"];

function shellQuoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// `run` has the fields of the page: data, results, jobs, file, slurm, resume, and whether the values go `inline`.
function commandLine(document, { data, results, jobs, file, slurm, resume, inline }) {
  const sorter = get(document, SORTER);
  const options = [];
  if (typeof sorter === "string") options.push(["--sorter", sorter]);
  if (inline) options.push(...settings(document).map((setting) => ["--set", setting]));
  else options.push(["--params", file]);
  if (jobs) options.push(["--n_jobs", jobs]);
  if (slurm) options.push(["--profile", "slurm"]);
  if (resume) options.push(["--resume"]);
  const lines = [["spikerelay", "run", data, results], ...options].map((words) => words.map(shellQuoted).join(" "));
  const oneLine = lines.join(" ");
  return oneLine.length <= 100 ? oneLine : lines.join(" \\\n    ");
}

// The differences from the defaults as `a.b=value`, but for the sorter.
function settings(document) {
  const small = reset(differencesOnly(document), SORTER);
  const values = Object.keys(small).length ? leavesOf(small, []) : [];
  const paths = new Map(values.map(({ path }) => settablePart(path)).map((path) => [pointerOf(path), path]));
  const isWithin = (pointer, other) => pointer.startsWith(`${other}/`);
  const outer = [...paths].filter(([pointer]) => ![...paths.keys()].some((other) => isWithin(pointer, other)));
  return outer.map(([, path]) => `${path.join(".")}=${settingText(path, get(small, path))}`);
}

// A parameter that is an object is set as a whole, and so is the part around a key that a dotted name cannot have.
function settablePart(path) {
  for (let length = 1; length < path.length; length += 1) {
    const entry = entries.get(pointerOf(path.slice(0, length)));
    const isWhole = !entry?.isSection || entry.isField || entry.children.some((child) => child.isLibrary && child.isSection);
    if (isWhole || !/^[\w$-]+$/.test(path[length])) return path.slice(0, length);
  }
  return path;
}

// The text of a parameter that is a text is not quoted; the library's settings, whose type is not known, are JSON or else text.
function settingText(path, value) {
  const isText = typeof value === "string" && entries.get(pointerOf(path))?.kinds.includes("string");
  return isText ? value : plainText(value);
}

// The values within a value, with their paths; an object without keys is a value.
function leavesOf(value, path) {
  const isInner = isObject(value) && Object.keys(value).length;
  return isInner ? Object.entries(value).flatMap(([key, item]) => leavesOf(item, [...path, key])) : [{ path, value }];
}

// A value as a person types it: JSON, or a text without quotes where no JSON looks the same.
function plainText(value) {
  const isPlain = typeof value === "string" && value !== "" && value === value.trim() && !/[\n\r]/.test(value) && readJson(value).problems.length;
  return isPlain ? value : JSON.stringify(value);
}

// --- the differences as a short text, which other editors open

const SHARED = "#params=";
// More than any params file has; a damaged or hostile text could unpack to gigabytes.
const MAX_SHARED = 5_000_000;

async function packed(text) {
  const bytes = await bytesThrough(text, new CompressionStream("deflate-raw"));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

class SharedError extends Error {}

// The JSON of a shared text, with any words before it. A text that a script makes may have the JSON itself, encoded.
async function jsonOf(text) {
  const start = text.indexOf(SHARED);
  const content = text.slice(start + SHARED.length).trim();
  if (start < 0 || !content) throw new SharedError("no shared text");
  try {
    return /^(%7B|\{)/i.test(content) ? decodeURIComponent(content) : await unpacked(content);
  } catch (error) {
    throw new SharedError(error.message);
  }
}

async function unpacked(text) {
  const letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true }).decode(await bytesThrough(bytes, new DecompressionStream("deflate-raw")));
}

async function bytesThrough(content, stream) {
  const reader = new Blob([content]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > MAX_SHARED) throw new RangeError("too large");
    parts.push(part.value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
