// What is wrong with a document: the schema by ajv, the rules of `pipeline/params_rules.json`, the library's names, and the
// curation query.
"use strict";

// Compiled when it is first asked: the form is there before.
let compiled = null;
function compile() {
  const options = { allErrors: true, ownProperties: true, strict: false, validateFormats: false, logger: false };
  compiled ??= new window.ajv7(options).compile(SCHEMA);
  return compiled;
}

// [{ pointer, keyword, params }] as Draft 7 has them.
function schemaErrors(document) {
  const check = compile();
  check(document);
  return (check.errors ?? []).map(({ instancePath, keyword, params }) => ({ pointer: instancePath, keyword, params }));
}

const TYPE_NAMES = { string: "text", array: "a list", object: "an object", boolean: "true or false", number: "a number", integer: "an integer", any: "any value" };
const ITEM_NAMES = { string: "texts", number: "numbers", integer: "integers" };
const SIGNS = { minimum: ">=", exclusiveMinimum: ">", maximum: "<=", exclusiveMaximum: "<" };

function shown(value) {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= 80 ? text : text.slice(0, 80) + "...";
}

function boundsOf(node) {
  const bounds = Object.entries(SIGNS).filter(([name]) => hasOwn(node, name)).map(([name, sign]) => `${sign} ${node[name]}`);
  if (node.minItems !== undefined) bounds.push(node.minItems === node.maxItems ? `${node.minItems} of them` : `at least ${node.minItems} of them`);
  if (node.minLength) bounds.push("not empty");
  return bounds.join(", ");
}

// What a parameter may be, e.g. `a number > 0 (Hz)`.
function allowed(entry) {
  const { node } = entry;
  const orNull = entry.isNullable ? " or null" : "";
  if (node.const !== undefined) return `${shown(node.const)}: nothing else is possible`;
  if (!entry.kinds.length) return "null: nothing else is possible";
  if (entry.choices) return `one of ${entry.choices.join(", ")}${orNull}`;
  const kinds = entry.kinds.map((kind) => (kind === "array" && node.items ? `a list of ${itemsOf(node.items)}` : TYPE_NAMES[kind])).join(" or ");
  const form = entry.default === null ? `of the form ${node.pattern}` : `like ${shown(entry.default)}`;
  const like = node.pattern ? form : "";
  const bounds = [boundsOf(node), like].filter(Boolean).join(", ");
  const glue = node.items || like ? ", " : " ";
  return [kinds, bounds].filter(Boolean).join(glue) + (node.unit ? ` (${node.unit})` : "") + (orNull && `,${orNull}`);
}

function itemsOf(items) {
  return items.enum ? `names of these: ${items.enum.join(", ")}` : [ITEM_NAMES[items.type], boundsOf(items)].filter(Boolean).join(" ");
}

// What an item of a list may be.
function allowedItem({ enum: choices, type, ...bounds } = {}) {
  return choices ? `one of ${choices.join(", ")}` : [TYPE_NAMES[type ?? "any"], boundsOf(bounds)].filter(Boolean).join(" ");
}

// `; did you mean 'x'?` for the name that differs least, when that is little.
function nearest(name, known) {
  const scored = known.map((other) => [1 - distance(name, other) / Math.max(name.length, other.length, 1), other]).sort(([a], [b]) => b - a);
  return scored.length && scored[0][0] >= 0.6 ? `; did you mean '${scored[0][1]}'?` : "";
}

// Levenshtein's: how many letters have to be put in, taken out or changed.
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row.at(-1);
}

function worded({ pointer, keyword, params }, document) {
  const path = pathOf(pointer);
  const entry = nearestEntry(path);
  if (keyword === "additionalProperties") {
    const name = params.additionalProperty;
    return { path: [...path, name], text: `unknown parameter${nearest(name, entry.children.map((child) => child.name))}` };
  }
  if (keyword === "required") return { path: [...path, params.missingProperty], text: "is missing" };
  const value = get(document, path);
  const inside = path.length > entry.path.length;
  const choices = (inside ? entry.node.items?.enum : entry.choices)?.map(String) ?? [];
  const wanted = inside ? allowedItem(entry.node.items ?? entry.node.additionalProperties) : allowed(entry);
  return { path, text: `must be ${wanted}; got ${shown(value)}${nearest(String(value), choices)}` };
}

// [{ path, text }], each once: a wrong type often breaks several keywords.
function structureProblems(document) {
  if (!isObject(document)) return [{ path: [], text: "a JSON object is needed, with one section per stage" }];
  const problems = schemaErrors(document).map((error) => worded(error, document));
  return [...new Map(problems.map((problem) => [pointerOf(problem.path) + problem.text, problem])).values()];
}

// Everything that is wrong, in the structure and between parameters.
function problemsOf(document) {
  const problems = structureProblems(document);
  if (!isObject(document)) return problems;
  // Valid parts are checked by the rules as well, so that all mistakes are reported at once.
  const rest = problems.reduce((kept, { path }) => without(kept, path), document);
  const whole = resolved(rest);
  const together = [...ruleProblems(whole), ...nameProblems(whole), ...textProblemsOf(whole)];
  return [...problems, ...(problems.length ? together.filter(({ path }) => get(document, path) !== undefined) : together)];
}

// --- several parameters together, as capsules/parameters/rules.py has it

const split = (dotted) => dotted.split(".");
const isSet = (value) => !(value === null || value === undefined || value === false || value === 0 || value === "" || (typeof value === "object" && !Object.keys(value).length));
const met = (document, when) => Object.entries(when).every(([path, value]) => (get(document, split(path)) ?? null) === value);
const condition = (when) => Object.entries(when).map(([path, value]) => `${path} is ${JSON.stringify(value)}`).join(" and ");

const CHECKS = {
  below(document, { low, high }) {
    const [lower, upper] = [low, high].map((path) => get(document, split(path)) ?? null);
    return lower !== null && upper !== null && lower >= upper ? [[low, `must be below ${high}; got ${lower} and ${upper}`]] : [];
  },
  needs(document, { path, when }) {
    return met(document, when) && !isSet(get(document, split(path))) ? [[path, `is needed when ${condition(when)}`]] : [];
  },
  only_when(document, { path, when }) {
    return isSet(get(document, split(path))) && !met(document, when) ? [[path, `has an effect only when ${condition(when)}`]] : [];
  },
  excludes(document, { path, other }) {
    const both = [path, other].every((name) => (get(document, split(name)) ?? null) !== null);
    return both ? [[path, `has an effect only when ${other} is null`]] : [];
  },
  requires(document, { path, other }) {
    return isSet(get(document, split(path))) && (get(document, split(other)) ?? null) === null ? [[path, `needs ${other}, which is off (null)`]] : [];
  },
  odd(document, { path }) {
    const value = get(document, split(path)) ?? null;
    return value !== null && value % 2 === 0 ? [[path, `must be odd; got ${value}`]] : [];
  },
  same(document, { paths }) {
    const values = paths.map((path) => [path, get(document, split(path)) ?? null]).filter(([, value]) => value !== null);
    const listed = values.map(([path, value]) => `${path} = ${JSON.stringify(value)}`).join(", ");
    return new Set(values.map(([, value]) => value)).size > 1 ? [[paths[0], `must be the same in all of these: ${listed}`]] : [];
  },
  depends(document, { path, on }) {
    const isOff = (name) => (get(document, [...split(path), name]) ?? null) === null;
    return Object.entries(on).flatMap(([name, needed]) => {
      const missing = needed.filter(isOff);
      const text = `needs ${missing.join(" and ")}, which is off (null); turn it on, or set ${name} to null as well`;
      return !isOff(name) && missing.length ? [[`${path}.${name}`, text]] : [];
    });
  },
  json_object(document, { path, values }) {
    const text = get(document, split(path));
    if (typeof text !== "string" || !text.trim()) return [];
    const { value, problems } = readJson(text);
    if (problems.length) return [[path, `must be empty or a JSON object; line ${problems[0].line}, column ${problems[0].column}: ${problems[0].text}`]];
    const good = isObject(value) && Object.values(value).every(Number.isInteger);
    return good ? [] : [[path, `must be a JSON object with ${values} values; got ${shown(text)}`]];
  },
  // No rate is known before a recording is seen.
  below_half_rate: () => [],
};

function ruleProblems(document) {
  return RULES.flatMap((rule) => CHECKS[rule.kind](document, rule)).map(([path, text]) => ({ path: split(path), text }));
}

// --- names of a library's settings, as capsules/resolve_params/names/library_names.py has it

const STEPS = ["preprocessing", "custom_preprocessing_pipeline"];

function nameProblems(document) {
  const named = [...entries.values()].flatMap((entry) => {
    const value = get(document, entry.path) ?? null;
    if (value === null) return [];
    if (entry.node.examples) return wordProblems(entry, [value].flat());
    return LIBRARY_SECTIONS.includes(entry.dotted) && isObject(value) ? settingProblems(entry, value) : [];
  });
  return [...named, ...stepProblems(get(document, STEPS) ?? {})];
}

function stepProblems(steps) {
  const wrong = Object.entries(steps).filter(([, settings]) => !isObject(settings));
  return wrong.map(([name, settings]) => ({ path: [...STEPS, name], text: `must be an object with the step's settings; got ${shown(settings)}` }));
}

function wordProblems(entry, words) {
  const known = entry.node.examples;
  return words.filter((word) => !known.includes(word)).map((word) => ({ path: entry.path, text: `the library has no ${shown(word)}${nearest(String(word), known)}` }));
}

function settingProblems(entry, value) {
  const known = entry.children.map((child) => child.name);
  const unknown = Object.keys(value).filter((name) => !known.includes(name));
  return unknown.map((name) => ({ path: [...entry.path, name], text: `no such setting in the library${nearest(name, known)}` }));
}

// --- texts in another language: the curation query and JSON, as capsules/resolve_params/params_file.py checks them

const QUERY = ["curation", "query"];
const INFO = ["job_dispatch", "spikeinterface_info"];
const EXTENSIONS = "postprocessing.extensions";

const textProblemsOf = (document) => [...queryProblems(document), ...infoProblems(get(document, INFO))];

function infoProblems(info) {
  if (typeof info !== "string" || !info.trimStart().startsWith("{")) return [];
  const { value, problems } = readJson(info);
  if (problems.length) return [{ path: INFO, text: `not JSON: line ${problems[0].line}, column ${problems[0].column}: ${problems[0].text}` }];
  return structureProblems(put(emptyObject(), INFO, value));
}

function queryProblems(document) {
  const query = get(document, QUERY);
  if (typeof query !== "string" || !query.trim()) return [];
  try {
    const names = new Set(queryLanguage.clausesOf(queryLanguage.parseQuery(query)).flatMap((clause) => clause.names));
    const texts = [...names].sort().map((name) => absence(name, get(document, split(EXTENSIONS)))).filter(Boolean);
    return texts.map((text) => ({ path: QUERY, text }));
  } catch (error) {
    if (!(error instanceof queryLanguage.QueryError)) throw error;
    return [{ path: QUERY, text: error.message }];
  }
}

// Column of the metrics table -> its extension and its metric.
const metricOfColumn = new Map(Object.entries(METRICS.columns).flatMap(([extension, metrics]) =>
  Object.entries(metrics).flatMap(([metric, columns]) => columns.map((column) => [column, { extension, metric }]))));

// Why a name of the query will not be in the table of metrics, and what to do; undefined when it will be.
function absence(name, extensions) {
  const column = metricOfColumn.get(name);
  if (!column) return unknownMetric(name);
  const { extension, metric } = column;
  const settings = extensions[extension] ?? null;
  if (settings === null) return needsExtension(name, extension);
  const chosen = settings.metric_names ?? null;
  if (METRICS.multi_channel.includes(metric)) {
    if (settings.include_multi_channel_metrics || chosen?.includes(metric)) return undefined;
    return `${name} is not computed: ${EXTENSIONS}.${extension}.include_multi_channel_metrics is false`;
  }
  const isChosen = chosen === null || chosen.some((other) => (METRICS.aliases[other] ?? other) === metric);
  if (!isChosen) return `${name} is not computed: add '${metric}' to ${EXTENSIONS}.${extension}.metric_names`;
  const missing = missingExtension(metric, settings.metric_params, extensions);
  return missing && needsExtension(name, missing);
}

function missingExtension(metric, settings, extensions) {
  const setting = settings?.[metric]?.amplitude_extension;
  const needs = setting ? [setting] : METRICS.dependencies[metric];
  const missing = needs.map((needed) => needed.split("|")).find((ways) => ways.every((way) => (extensions[way] ?? null) === null));
  return missing?.join(" or ");
}

function unknownMetric(name) {
  const several = Object.values(METRICS.columns).find((metrics) => hasOwn(metrics, name));
  if (several) return `'${name}' is a metric with several values: ${several[name].join(", ")}`;
  return `no metric '${name}'${nearest(name, [...metricOfColumn.keys()])}`;
}

const needsExtension = (name, extension) => `${name} needs ${EXTENSIONS}.${extension}, which is off (null); turn it on, or remove ${name} from the query`;
