// The controls that show one value and take edits of it. A widget is { element, show(value), focus() }; it calls `edit(value)`
// with each edit. A text that is not of the expected kind is handed on unchanged, and the validator rejects it.
"use strict";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function button(text, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, text);
}

const kindOf = (value) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);

// A number as JSON has it, or undefined: "1e3" is one; "5 ", "0x10", "" and what a browser would round are not.
function numberOf(text) {
  const { value, problems } = readJson(text.trim());
  return typeof value === "number" && !problems.length ? value : undefined;
}

// --- one line of text

function lineWidget(attributes, read, write) {
  return (edit) => {
    const input = element("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes, oninput: () => edit(read(input.value)) });
    // While the text says the same as the value it stays as it was typed: 1e3 stays 1e3.
    const show = (value) => {
      const says = read(input.value);
      if (value === undefined) input.value = "";
      else if (says === undefined || !isEqual(says, value)) input.value = write(value);
    };
    return { element: input, input, show };
  };
}

const textWidget = lineWidget({}, (text) => text, (value) => value);
const numberWidget = lineWidget({ inputmode: "decimal" }, (text) => numberOf(text) ?? text, String);

// --- any value: JSON, or else text; the field always shows which

function anyValue(text) {
  const { value, problems } = readJson(text);
  return problems.length ? text : value;
}

// `blank` is the value of an empty field: the empty text, or no value at all.
function anyWidget(blank) {
  return (edit) => {
    const kind = element("span", { class: "kind" });
    const inner = lineWidget({}, (text) => (text === "" ? blank : anyValue(text)), plainText)(edit);
    const show = (value) => {
      inner.show(value);
      kind.textContent = value === undefined ? "" : { string: "text", array: "list" }[kindOf(value)] ?? kindOf(value);
    };
    return { element: element("span", { class: "any" }, inner.element, kind), input: inner.input, show };
  };
}

// --- choices

function choiceWidget(choices) {
  return (edit) => {
    const options = choices.map((choice) => element("option", { value: choice }, choice));
    const blank = element("option", { value: "", hidden: "" }, "");
    const select = element("select", { onchange: () => edit(select.value) }, blank, ...options);
    return { element: select, input: select, show: (value) => { select.value = choices.includes(value) ? value : ""; } };
  };
}

function booleanWidget(edit) {
  const input = element("input", { type: "checkbox", onchange: () => edit(input.checked) });
  const word = element("span", { "aria-hidden": "true" });
  const show = (value) => {
    input.checked = value === true;
    word.textContent = value === true ? "true" : value === false ? "false" : "";
  };
  return { element: element("span", { class: "boolean" }, input, word), input, show };
}

// A list of names of which each is in it or not; those that are not allowed are shown too, to be taken out.
function checklistWidget(choices, label) {
  return (edit) => {
    let list = [];
    const box = element("div", { class: "checklist", role: "group", "aria-label": label });
    const item = (choice) => {
      const toggle = () => edit(input.checked ? [...list, choice] : list.filter((other) => other !== choice));
      const input = element("input", { type: "checkbox", onchange: toggle });
      input.choice = choice;
      return element("label", {}, input, String(choice));
    };
    const show = (value) => {
      list = value ?? [];
      const wanted = [...choices, ...list.filter((name) => !choices.includes(name))];
      if (wanted.length !== box.children.length) box.replaceChildren(...wanted.map(item));
      for (const input of box.querySelectorAll("input")) input.checked = list.includes(input.choice);
    };
    return { element: box, show, get input() { return box.querySelector("input"); } };
  };
}

// --- lists and objects, a row for each item

function rowsWidget({ makeRow, fill, sizeOf, addText, add, label }) {
  return (edit) => {
    let value;
    const rows = [];
    const list = element("div", { class: "rows", role: "group", "aria-label": label });
    const change = (next) => edit(next);
    const addButton = button(addText, () => { change(add(value)); rows.at(-1)?.input.focus(); });
    const show = (next) => {
      value = next;
      const size = next === undefined ? 0 : sizeOf(next);
      while (rows.length > size) rows.pop().element.remove();
      while (rows.length < size) {
        rows.push(makeRow(rows.length, () => value, change, addButton));
        list.append(rows.at(-1).element);
      }
      rows.forEach((row, index) => fill(row, next, index));
    };
    return { element: element("div", {}, list, addButton), show, get input() { return rows[0]?.input ?? addButton; } };
  };
}

function itemWidget(type) {
  if (type === "number" || type === "integer") return numberWidget;
  return type === "string" ? textWidget : anyWidget("");
}

function listWidget(node, label) {
  const type = node.items?.type;
  return rowsWidget({
    label, addText: "Add an item", sizeOf: (list) => list.length,
    add: (list) => [...(list ?? []), type ? firstValue({ node: node.items }, type) : ""],
    fill: (row, list, index) => row.show(list[index]),
    makeRow(index, list, change, addButton) {
      const item = itemWidget(type)((value) => change(list().with(index, value)));
      item.input.setAttribute("aria-label", `${label}, item ${index + 1}`);
      const remove = button("Remove", () => { change(list().toSpliced(index, 1)); addButton.focus(); }, { "aria-label": `Remove item ${index + 1} of ${label}` });
      return { ...item, input: item.input, element: element("div", { class: "row" }, item.element, remove) };
    },
  });
}

// The keys of an object that `owned` does not have: those of the schema have separate fields.
function pairsWidget(label, valueType, owned = []) {
  const keysOf = (object) => Object.keys(object).filter((key) => !owned.includes(key));
  const rebuilt = (object, change) => Object.entries(object).reduce((made, [key, value]) => change(made, key, value) ?? made, emptyObject());
  return rowsWidget({
    label, addText: "Add a key", sizeOf: (object) => keysOf(object).length,
    add: (object) => put(object ?? emptyObject(), [freeName(object ?? {})], ""),
    fill(row, object, index) {
      row.key = keysOf(object)[index];
      row.show(object[row.key]);
    },
    makeRow(index, object, change, addButton) {
      const row = {};
      const value = itemWidget(valueType)((next) => change(put(object(), [row.key], next)));
      const key = textWidget((name) => {
        const taken = name !== row.key && hasOwn(object(), name);
        key.input.setCustomValidity(taken ? "there is such a key already" : "");
        key.input.setAttribute("aria-invalid", String(taken));
        if (!taken) change(rebuilt(object(), (made, old, item) => { made[old === row.key ? name : old] = item; }));
      });
      key.input.setAttribute("aria-label", `${label}, key ${index + 1}`);
      key.input.addEventListener("blur", () => row.show(row.value));
      value.input.setAttribute("aria-label", `${label}, value ${index + 1}`);
      const remove = button("Remove", () => { change(without(object(), [row.key])); addButton.focus(); }, { "aria-label": `Remove key ${index + 1} of ${label}` });
      const show = (next) => {
        row.value = next;
        // A key that is taken stays as it was typed, marked, until the field is left.
        if (document.activeElement !== key.input || key.input.validity.valid) key.show(row.key);
        value.show(next);
      };
      return Object.assign(row, { element: element("div", { class: "row pair" }, key.element, value.element, remove), input: key.input, show });
    },
  });
}

function freeName(object) {
  for (let index = 1; ; index += 1) if (!hasOwn(object, `key${index}`)) return `key${index}`;
}

// --- which of them shows a value

let lists = 0;

function suggestions(names) {
  const id = `names-${(lists += 1)}`;
  return { id, element: element("datalist", { id }, ...names.map((name) => element("option", { value: name }))) };
}

// The name of the widget: that of the value's kind where the parameter allows it, else one that shows any value.
function widgetFor(entry, value) {
  const kind = kindOf(value);
  if (entry.kinds.includes("any") || !entry.kinds.length) return "any";
  if (value === undefined || value === null) return shownKind(entry, entry.kinds[0]);
  if (kind === "number" && entry.kinds.some((name) => name === "number" || name === "integer")) return "number";
  if (entry.kinds.includes(kind) && isShowable(entry, value)) return shownKind(entry, kind);
  const isUnread = kind === "string" && !/[\n\r]/.test(value) && numberOf(value) === undefined;
  return isUnread && ["number", "integer"].includes(entry.kinds[0]) ? "number" : "any";
}

function isShowable(entry, value) {
  if (typeof value === "string") return entry.choices ? entry.choices.includes(value) : !/[\n\r]/.test(value);
  if (!Array.isArray(value)) return true;
  const items = entry.node.items;
  const fits = { string: (item) => typeof item === "string" && !/[\n\r]/.test(item), number: (item) => kindOf(item) === "number" || (typeof item === "string" && numberOf(item) === undefined) };
  return items ? value.every(fits[items.type === "integer" ? "number" : items.type]) && (!items.enum || new Set(value).size === value.length) : true;
}

function shownKind(entry, kind) {
  if (entry.choices && kind === "string") return "choice";
  return kind === "integer" ? "number" : kind;
}

function makeWidget(entry, name, edit) {
  const { node } = entry;
  if (name === "choice") return choiceWidget(entry.choices)(edit);
  if (name === "boolean") return booleanWidget(edit);
  if (name === "number") return numberWidget(edit);
  if (name === "array") return (node.items?.enum ? checklistWidget(node.items.enum, entry.dotted) : listWidget(node, entry.dotted))(edit);
  if (name === "object") return pairsWidget(entry.dotted, node.additionalProperties?.type)(edit);
  if (name === "any") return anyWidget(entry.isLibrary ? undefined : "")(edit);
  const widget = textWidget(edit);
  if (node.examples) {
    const names = suggestions(node.examples);
    widget.input.setAttribute("list", names.id);
    widget.element = element("span", {}, widget.input, names.element);
  }
  return widget;
}
