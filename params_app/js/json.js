// JSON as the standard has it: values, the place of each in the text, and a name for every kind of mistake.
// Objects have no prototype, so that a key like "__proto__" is a key like any other.
"use strict";

const MAX_DEPTH = 100;
const WORDS = { True: "true", False: "false", None: "null", undefined: "null", nil: "null" };
const NOT_NUMBERS = ["NaN", "Infinity", "-Infinity"];
const BLANKS = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;

const hasOwn = (object, key) => Object.prototype.hasOwnProperty.call(object, key);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const emptyObject = () => Object.create(null);

// ["a", "b/c"] -> "/a/b~1c"
function pointerOf(path) {
  return path.map((key) => "/" + String(key).replaceAll("~", "~0").replaceAll("/", "~1")).join("");
}

function pathOf(pointer) {
  return pointer.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function placeOf(text, offset) {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: before.at(-1).length + 1 };
}

class NotJson extends Error {
  constructor(offset, text) {
    super(text);
    this.offset = offset;
  }
}

class JsonReader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    // The part that is being read.
    this.pointer = "";
    this.places = new Map();
    this.problems = [];
    // The stretches of the text that hold a key which is given again further on.
    this.superseded = [];
  }

  read() {
    if (this.text.startsWith("\ufeff")) this.fail("the file begins with a byte order mark; save it as UTF-8 without BOM", 0);
    const value = this.value();
    this.blanks();
    if (this.at < this.text.length) this.fail("extra data");
    return value;
  }

  fail(text, offset = this.at) {
    throw new NotJson(offset, text);
  }

  // What stands where something else was expected.
  unexpected(expected) {
    const rest = this.text.slice(this.at);
    const before = this.text.slice(0, this.at).trimEnd();
    const word = rest.match(/^[A-Za-z]+/)?.[0];
    if (/^(\/\/|\/\*|#)/.test(rest)) this.fail("a comment; JSON has none: take it out");
    if (/^[}\]]/.test(rest) && before.endsWith(",")) this.fail("a comma before the closing bracket: take it out", before.length - 1);
    if (rest.startsWith("'")) this.fail("text in single quotes; JSON has double quotes");
    if (word && hasOwn(WORDS, word)) this.fail(`${word} is not JSON; write ${WORDS[word]}`);
    if (!rest) this.fail(before ? "the JSON text ends too early: a bracket or a quote is not closed" : "the file is empty");
    this.fail(expected);
  }

  blanks() {
    BLANKS.lastIndex = this.at;
    BLANKS.test(this.text);
    this.at = BLANKS.lastIndex;
  }

  problem(text, offset = this.at) {
    this.problems.push({ offset, path: pathOf(this.pointer), text });
  }

  value() {
    this.blanks();
    if (!this.places.has(this.pointer)) this.places.set(this.pointer, this.at);
    const first = this.text[this.at];
    if (first === "{") return this.nested(() => this.object());
    if (first === "[") return this.nested(() => this.array());
    if (first === '"') return this.string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]]) if (this.took(word)) return value;
    for (const word of NOT_NUMBERS) if (this.tookNoNumber(word)) return null;
    return this.number();
  }

  took(word) {
    const found = this.text.startsWith(word, this.at);
    if (found) this.at += word.length;
    return found;
  }

  tookNoNumber(word) {
    const offset = this.at;
    if (!this.took(word)) return false;
    this.problem(`${word} is not JSON; use null, or leave the parameter out`, offset);
    return true;
  }

  nested(read) {
    this.depth = (this.depth ?? 0) + 1;
    if (this.depth > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} brackets within each other`);
    this.at += 1;
    const value = read();
    this.depth -= 1;
    return value;
  }

  number() {
    NUMBER.lastIndex = this.at;
    const token = NUMBER.exec(this.text)?.[0];
    if (token === undefined) this.unexpected("expecting value");
    const value = Number(token);
    const short = token.length > 20 ? token.slice(0, 20) + "..." : token;
    if (!Number.isFinite(value)) this.problem(`${short} is too large a number`);
    else if (isRounded(token)) this.problem(`a browser would round ${short} to ${BigInt(value)}: write this number in a text editor`);
    this.at += token.length;
    return value;
  }

  string() {
    const start = this.at;
    for (this.at += 1; this.text[this.at] !== '"'; this.at += this.text[this.at] === "\\" ? 2 : 1) {
      if (this.at >= this.text.length) this.fail("the JSON text ends too early: a bracket or a quote is not closed", start);
      if (this.text[this.at] < " ") this.fail("invalid control character");
    }
    this.at += 1;
    let value;
    try {
      value = JSON.parse(this.text.slice(start, this.at));
    } catch {
      this.fail("invalid \\escape", start);
    }
    if (!value.isWellFormed()) this.problem("the text holds half of a surrogate pair", start);
    if (value.includes("\0")) this.problem("the text holds a NUL character", start);
    return value;
  }

  array() {
    const items = [];
    this.blanks();
    if (this.took("]")) return items;
    const outer = this.pointer;
    do {
      this.pointer = `${outer}/${items.length}`;
      this.blanks();
      if (this.text[this.at] === "]") this.unexpected("expecting value");
      items.push(this.value());
      this.blanks();
    } while (this.took(","));
    this.pointer = outer;
    if (!this.took("]")) this.unexpected("expecting ',' delimiter");
    return items;
  }

  object() {
    const object = emptyObject();
    const members = new Map();
    this.blanks();
    if (this.took("}")) return object;
    const outer = this.pointer;
    do this.member(object, members, outer); while (this.took(","));
    this.pointer = outer;
    if (!this.took("}")) this.unexpected("expecting ',' delimiter");
    return object;
  }

  member(object, members, outer) {
    this.blanks();
    const start = this.at;
    if (this.text[start] !== '"') this.unexpected("expecting property name enclosed in double quotes");
    const key = this.string();
    this.pointer = outer + pointerOf([key]);
    if (members.has(key)) {
      this.problem("is given twice in one object", start);
      this.superseded.push(members.get(key));
    }
    this.places.set(this.pointer, start);
    this.blanks();
    if (!this.took(":")) this.unexpected("expecting ':' delimiter");
    object[key] = this.value();
    this.pointer = outer;
    this.blanks();
    members.set(key, [start, this.at + 1]);
  }
}

// Python keeps integers of any size, a browser does not; both read other numbers as doubles.
function isRounded(token) {
  return /^-?[0-9]+$/.test(token) && Number.isFinite(Number(token)) && BigInt(token) !== BigInt(Number(token));
}

// { value, places, problems }: `places` are offsets by pointer; with a problem, `value` is not to be used.
function readJson(text) {
  const reader = new JsonReader(text);
  let value;
  try {
    value = reader.read();
  } catch (error) {
    if (!(error instanceof NotJson)) throw error;
    reader.problems = [{ offset: error.offset, path: [], text: error.message }];
  }
  const problems = reader.problems.map((problem) => ({ ...problem, ...placeOf(text, problem.offset) }));
  return { value, places: reader.places, problems, superseded: reader.superseded };
}

// --- repairs, token by token: text in quotes is never changed

const TOKEN = /"(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'|\/\/[^\n]*|\/\*[^]*?\*\/|#[^\n]*|-?[A-Za-z_]\w*|[0-9.eE+-]+|\s+|[^]/g;
const isComment = (token) => /^(\/\/|\/\*|#)/.test(token);
const isBlank = (token) => /^\s/.test(token) || isComment(token);

function repaired(text) {
  const tokens = text.replace(/^\ufeff/, "").match(TOKEN) ?? [];
  const next = (index) => tokens.slice(index + 1).find((token) => !isBlank(token));
  const parts = tokens.map((token, index) => {
    if (isComment(token) || (token === "," && /^[}\]]$/.test(next(index)))) return "";
    if (NOT_NUMBERS.includes(token)) return "null";
    if (token.startsWith("'") && token.length > 1) return JSON.stringify(token.slice(1, -1).replaceAll("\\'", "'"));
    return hasOwn(WORDS, token) ? WORDS[token] : token;
  });
  return withoutSuperseded(parts.join(""));
}

// Of a key that is given twice, the last counts, as Python's json and browsers have it.
function withoutSuperseded(text) {
  const ranges = readJson(text).superseded.sort(([a], [b]) => b - a);
  return ranges.reduce((kept, [start, end]) => kept.slice(0, start) + kept.slice(end).replace(/^\s+/, ""), text);
}
