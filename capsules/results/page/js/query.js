// The language of curation queries, the same as capsules/curation/query.py and verdicts.py: a test compares both.

const COMPARISONS = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "==": (a, b) => a === b, "!=": (a, b) => a !== b,
};
const OPPOSITE = { met: "failed", failed: "met", "left out": "left out", unknown: "unknown" };
const MAX_QUERY = 10000;
const MAX_DEPTH = 100;
// Words that Python does not take as names.
const RESERVED = new Set("False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(" "));

class QueryError extends Error {}

function tokens(text) {
  const pattern = /\s+|(0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:\d(?:_?\d)*)?\.\d(?:_?\d)*(?:[eE][+-]?\d(?:_?\d)*)?|\d(?:_?\d)*\.?(?:[eE][+-]?\d(?:_?\d)*)?)|([\p{ID_Start}_][\p{ID_Continue}]*)|(<=|>=|==|!=|[<>()+-])/uy;
  const pieces = [];
  let at = 0;
  while (at < text.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) throw new QueryError(`cannot be read at "${text.slice(at, at + 12)}"`);
    const [whole, number, name, sign] = match;
    if (number !== undefined) {
      const next = text[pattern.lastIndex];
      if (next !== undefined && /[\p{ID_Continue}.]/u.test(next)) throw new QueryError(`"${whole}${next}" is not a number`);
      pieces.push({ kind: "number", text: whole, value: numberOf(whole) });
    } else if (name !== undefined) pieces.push({ kind: ["and", "or", "not"].includes(name) ? name : RESERVED.has(name) ? "reserved" : "name", text: name.normalize("NFKC") });
    else if (sign !== undefined) pieces.push({ kind: sign, text: sign });
    at = pattern.lastIndex;
  }
  return pieces;
}

function numberOf(text) {
  const plain = text.replaceAll("_", "");
  const whole = /^\d+$/.test(plain) || /^0[xob]/i.test(plain);
  if (/^0\d+$/.test(plain) && Number(plain) !== 0) throw new QueryError(`"${text}" has a leading zero`);
  const value = Number(plain);
  if (whole && !Number.isFinite(value)) throw new QueryError("the integer is too large to compare with a metric");
  return value;
}

// A tree of { op: "and" | "or" | "not", parts }, and clauses { op: "compare", signs, sides, text, names }.
function parseQuery(text) {
  if (text.includes("#")) throw new QueryError("\"#\" starts a comment, and the text after it would be ignored: remove it");
  if (text.length > MAX_QUERY) throw new QueryError(`is ${text.length} characters long (limit: ${MAX_QUERY})`);
  const stream = tokens(text.trim());
  let at = 0;
  const peek = () => stream[at]?.kind;
  let nested = 0;
  const fail = () => { throw new QueryError(stream[at] ? `cannot be read at "${stream[at].text}"` : "ends too early"); };
  const take = (kind) => (peek() === kind ? stream[at++] : fail());

  function joined(kind, next) {
    const parts = [next()];
    while (peek() === kind) { at += 1; parts.push(next()); }
    return parts.length === 1 ? parts[0] : { op: kind, parts };
  }
  const either = () => joined("or", both);
  const both = () => joined("and", negation);
  function negation() {
    if (peek() !== "not") return comparison();
    at += 1;
    return { op: "not", parts: [negation()] };
  }
  function comparison() {
    const sides = [operand()];
    const signs = [];
    while (peek() in COMPARISONS) { signs.push(stream[at++].text); sides.push(operand()); }
    return signs.length ? { op: "compare", signs, sides } : sides[0];
  }
  function operand() {
    if (peek() === "(") {
      at += 1;
      // Python reads as many.
      if (++nested >= 200) throw new QueryError("has too many parentheses within each other");
      const inner = either();
      take(")");
      nested -= 1;
      return inner;
    }
    if (peek() === "-" || peek() === "+") {
      const sign = stream[at++].text;
      const number = operand();
      if (number.op !== "number" || number.signed) throw new QueryError("only a number can have a sign, and one sign");
      return { op: "number", value: sign === "-" ? -number.value : number.value, text: sign + number.text, signed: true };
    }
    if (peek() === "number") { const { value, text: written } = take("number"); return { op: "number", value, text: written }; }
    const { text: name } = take("name");
    return { op: "name", name, text: name };
  }
  const tree = either();
  if (at < stream.length) fail();
  checkTree(tree, 0);
  return tree;
}

function checkTree(node, depth) {
  if (depth > MAX_DEPTH) throw new QueryError(`cannot be read: nested more than ${MAX_DEPTH} deep`);
  if (node.op === "compare") {
    for (const side of node.sides) if (side.op !== "name" && side.op !== "number") throw new QueryError("a comparison or a condition is neither a metric's name nor a number");
    node.text = node.sides.map((side, index) => (index ? ` ${node.signs[index - 1]} ` : "") + side.text).join("");
    node.names = [...new Set(node.sides.filter(({ op }) => op === "name").map(({ name }) => name))];
  } else if (node.parts) for (const part of node.parts) checkTree(part, depth + 1);
  else throw new QueryError(`"${node.text}" is not a comparison`);
}

function textOf(node) {
  if (node.op === "compare") return node.text;
  if (node.op === "not") return `not ${node.parts[0].op === "compare" || node.parts[0].op === "not" ? textOf(node.parts[0]) : `(${textOf(node.parts[0])})`}`;
  return node.parts.map((part) => (part.parts && part.op !== "not" ? `(${textOf(part)})` : textOf(part))).join(` ${node.op} `);
}

function clausesOf(node) {
  return node.op === "compare" ? [node] : node.parts.flatMap(clausesOf);
}

// What a unit has to meet, one by one: the parts that `and` joins.
function listConditions(node) {
  return node.op === "and" ? node.parts.flatMap(listConditions) : [node];
}

// `value(name)` is a unit's metric: null where it is undefined. `leaveOut`: metrics whose undefined clauses do not count.
function judge(node, value, leaveOut) {
  if (node.op === "compare") {
    const undefinedNames = node.names.filter((name) => value(name) === null);
    if (undefinedNames.length) return undefinedNames.every((name) => leaveOut.has(name)) ? "left out" : "unknown";
    const sides = node.sides.map((side) => (side.op === "name" ? value(side.name) : side.value));
    return node.signs.every((sign, index) => COMPARISONS[sign](sides[index], sides[index + 1])) ? "met" : "failed";
  }
  const verdicts = node.parts.map((part) => judge(part, value, leaveOut));
  if (node.op === "not") return OPPOSITE[verdicts[0]];
  const decisive = node.op === "and" ? "failed" : "met";
  return [decisive, "unknown", OPPOSITE[decisive]].find((kind) => verdicts.includes(kind)) ?? "left out";
}

// The label of each unit by a query, and which condition rejects whom.
function labelByQuery(sorting, tree) {
  const { settings, units: { metrics } } = sorting;
  const unknownName = clausesOf(tree).flatMap(({ names }) => names).find((name) => !(name in metrics));
  if (unknownName !== undefined) throw new QueryError(`no metric "${unknownName}"`);
  const leaveOut = new Set(settings.leave_out);
  const conditions = listConditions(tree).map((node) => ({ node, text: textOf(node), rejects: [], alone: 0 }));
  const labels = sorting.ids.map((_, unit) => {
    const value = (name) => metrics[name][unit];
    const verdict = judge(tree, value, leaveOut);
    const failed = conditions.filter(({ node }) => judge(node, value, leaveOut) === "failed");
    for (const condition of failed) condition.rejects.push(unit);
    if (failed.length === 1) failed[0].alone += 1;
    if (verdict === "failed") return "bad";
    if (verdict === "unknown") return settings.undefined_metric === "reject" ? "bad" : "undetermined";
    if (verdict === "left out") return "undetermined";
    return (sorting.spikes?.[unit] ?? Infinity) >= settings.min_spikes ? "good" : "undetermined";
  });
  return { labels, conditions };
}

// The thresholds that a query sets on a metric.
function thresholdsOf(tree, name) {
  return clausesOf(tree).filter(({ names }) => names.includes(name)).flatMap(({ sides }) => sides.filter(({ op }) => op === "number").map(({ value }) => value));
}
