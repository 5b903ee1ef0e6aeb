// The form: a section for each object of the schema, a field for each parameter, and the search over them.
"use strict";

const KIND_WORDS = { string: "text", array: "list", object: "object", boolean: "true/false", number: "number", integer: "integer" };
const OPEN_AT_FIRST = ["job_dispatch", "spikesorting"];

// --- the null of a parameter or section, and the choice between types

class NullToggle {
  constructor(entry, store) {
    this.entry = entry;
    this.input = element("input", { type: "checkbox", "data-null": entry.dotted, onchange: () => store.toggleNull(entry) });
    const word = entry.isLibrary ? "not used" : entry.isSection ? "null: off" : "null";
    this.element = element("label", { class: "null" }, this.input, word, element("span", { class: "hidden" }, ` (${entry.dotted})`));
  }

  show(value) {
    this.input.checked = offValues(this.entry).includes(value);
  }
}

class TypeChoice {
  constructor(entry, store) {
    this.entry = entry;
    const options = entry.kinds.map((kind) => element("option", { value: kind }, KIND_WORDS[kind]));
    const choose = () => store.set(entry, firstValue(entry, this.element.value), null);
    this.element = element("select", { "aria-label": `Type of ${entry.dotted}`, "data-type": entry.dotted, onchange: choose }, ...options);
  }

  show(value) {
    this.element.disabled = value === null;
    const kind = value === undefined ? "null" : kindOf(value);
    this.element.value = this.entry.kinds.includes(kind) ? kind : this.entry.kinds[0];
  }
}

// --- one parameter

function aboutText({ node, isLibrary, isNullable, ...entry }) {
  const parts = [node.description];
  const known = isLibrary ? node.default : entry.default;
  if (known !== undefined && !entry.isSection) parts.push(`${isLibrary ? "The library's default" : "Default"}: ${shown(known)}.`);
  if (!isLibrary && !entry.choices && !node.items?.enum) parts.push(`${capital(allowed({ ...entry, node, isNullable }))}.`);
  if (node.gui_name) parts.push(`In Kilosort's own window: ${node.gui_name}, under ${node.step}.`);
  return parts.filter(Boolean).join(" ");
}

// The descriptions have names in backticks.
function prose(text) {
  return text.split("`").map((words, index) => (index % 2 ? element("code", {}, words) : words));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

class Field {
  constructor(entry, store) {
    Object.assign(this, { entry, store, id: `field${entry.pointer.replaceAll("/", "-")}` });
    this.label = element("label", { class: "name", for: this.id }, entry.isSection ? "value" : entry.name);
    this.badge = element("span", { class: "badge" });
    this.slot = element("span", { class: "slot" });
    this.slot.addEventListener("focusout", () => { this.store.lastMark = null; queueMicrotask(() => this.show()); });
    this.toggle = entry.isNullable && entry.kinds.length ? new NullToggle(entry, store) : null;
    this.types = entry.kinds.length > 1 ? new TypeChoice(entry, store) : null;
    this.back = button("Reset", () => this.reset(), { class: "reset", "aria-label": `Reset ${entry.dotted}` });
    this.about = element("p", { class: "about", id: `${this.id}-about` }, ...prose(aboutText(entry)));
    this.error = element("p", { class: "error", id: `${this.id}-error`, hidden: "" });
    const unit = entry.node.unit ? [element("span", { class: "unit" }, entry.node.unit)] : [];
    const controls = [this.types?.element, this.toggle?.element].filter(Boolean);
    this.element = element("div", { class: "field", "data-path": entry.dotted },
      element("div", { class: "head" }, this.label, this.badge), element("div", { class: "control" }, this.slot, ...unit, ...controls, this.back), this.error, this.about);
    this.text = [entry.dotted, entry.name.replaceAll("_", " "), entry.node.description, entry.node.unit, entry.node.gui_name, entry.node.step].join(" ").toLowerCase();
  }

  reset() {
    this.store.reset(this.entry);
    this.focus();
  }

  edit(value) {
    if (value === undefined) this.store.change(reset(this.store.document, this.entry.path), this.entry.pointer);
    else this.store.set(this.entry, value);
  }

  focus() {
    (this.isOff ? this.toggle?.input : this.widget?.input)?.focus();
  }

  // What the document says, but for a control that is just being typed in and would have to be replaced.
  show(document = this.store.document) {
    const own = get(document, this.entry.path);
    const value = own === undefined ? this.entry.default : own;
    if (this.value === value && this.own === own && this.widget && !this.isStale) return;
    Object.assign(this, { value, own });
    this.showWidget(value);
    this.toggle?.show(value);
    this.types?.show(value);
    this.changed = own !== undefined && !isEqual(own, this.entry.default);
    this.badge.textContent = this.changed ? "changed" : own === undefined ? (this.entry.default === undefined ? "" : "default") : "set to the default";
    this.element.classList.toggle("changed", this.changed);
    this.back.hidden = own === undefined;
  }

  showWidget(value) {
    const isBody = this.entry.isSection && (isObject(value) || value === null);
    const name = isBody ? "none" : widgetFor(this.entry, value);
    // A null choice can be made right away.
    this.isOff = value === null && !["any", "choice"].includes(name);
    // A control that is being used is replaced when it is left.
    this.isStale = name !== this.widgetName && Boolean(this.widget) && this.slot.contains(window.document.activeElement);
    if (name !== this.widgetName && !this.isStale) this.replaceWidget(name);
    this.slot.hidden = isBody;
    this.widget.show(this.isOff ? undefined : value);
    for (const input of this.slot.querySelectorAll("input, select, button")) input.disabled = this.isOff;
  }

  replaceWidget(name) {
    this.widgetName = name;
    this.widget = name === "none" ? { element: element("span"), show() {} } : makeWidget(this.entry, name, (value) => this.edit(value));
    this.widget.input?.setAttribute("id", this.id);
    const input = this.widget.input;
    if (input?.closest(".rows, .checklist") || input?.tagName === "BUTTON") input.removeAttribute("id");
    input?.setAttribute("aria-describedby", `${this.id}-error ${this.id}-about`);
    if (!input?.id) this.label.removeAttribute("for");
    else this.label.setAttribute("for", this.id);
    this.slot.replaceChildren(this.widget.element);
  }

  showProblems(texts) {
    const text = texts.join("; ");
    if (this.problem === text) return;
    this.problem = text;
    this.error.textContent = text && capital(text);
    this.error.hidden = !text;
    this.element.classList.toggle("wrong", Boolean(text));
    for (const input of this.slot.querySelectorAll("input, select")) input.setAttribute("aria-invalid", String(Boolean(text)));
  }

  matches({ words, modified, error }) {
    if ((modified && !this.changed) || (error && !this.problem)) return false;
    return words.every((word) => this.text.includes(word) || (this.value !== undefined && JSON.stringify(this.value).toLowerCase().includes(word)));
  }
}

// Keys of an open section that the schema does not name.
class ExtraField extends Field {
  constructor(entry, store) {
    super({ ...entry, kinds: ["object"], isLibrary: true, isNullable: false, isSection: false, pointer: `${entry.pointer}/ other`, node: { description: "Other settings of the library's, by key." } }, store);
    this.element.removeAttribute("data-path");
    this.element.setAttribute("data-extras", entry.dotted);
    this.label.textContent = "other keys";
    this.owned = entry.children.map((child) => child.name);
    this.back.remove();
  }

  replaceWidget(name) {
    this.widgetName = name;
    this.widget = pairsWidget(`${this.entry.dotted} other`, undefined, this.owned)((value) => this.edit(value));
    this.label.removeAttribute("for");
    this.slot.replaceChildren(this.widget.element);
  }

  show(document = this.store.document) {
    const value = current(document, this.entry);
    this.showWidget(isObject(value) ? value : undefined);
    this.changed = isObject(value) && Object.keys(value).some((key) => !this.owned.includes(key));
    this.value = undefined;
    this.badge.textContent = this.changed ? "changed" : "";
  }
}

// --- one section

class SectionBox {
  constructor(entry, store) {
    Object.assign(this, { entry, store, parts: [] });
    this.count = element("span", { class: "count" });
    this.toggle = canBeOff(entry) && !entry.isField ? new NullToggle(entry, store) : null;
    this.error = element("p", { class: "error", hidden: "" });
    this.body = element("fieldset", { "aria-label": entry.dotted });
    this.text = `${entry.dotted} ${entry.node.description ?? ""}`.toLowerCase();
    this.element = element("details", { class: "section", "data-section": entry.dotted },
      element("summary", {}, element("span", { class: "name" }, entry.name), " ", this.count),
      element("p", { class: "about" }, ...prose(entry.node.description ?? "")), ...(this.toggle ? [this.toggle.element] : []), this.error, this.body);
  }

  show(document) {
    const value = current(document, this.entry);
    this.toggle?.show(value);
    this.body.disabled = canBeOff(this.entry) && !isObject(value);
    this.element.classList.toggle("off", this.body.disabled);
    // Turned on or off: no separate field shows that.
    this.changed = this.toggle !== null && isObject(value) !== isObject(this.entry.default);
  }

  matches({ words, modified, error }) {
    if ((modified && !this.changed) || (error && this.error.hidden)) return false;
    return words.every((word) => this.text.includes(word));
  }

  showProblems(texts) {
    this.problem = texts.join("; ");
    this.error.textContent = this.problem;
    this.error.hidden = !texts.length;
  }

  showCount() {
    const changed = this.parts.filter((part) => part.changed).length;
    const wrong = this.parts.filter((part) => part.problem).length;
    const turned = this.changed && (this.body.disabled ? "turned off" : "turned on");
    const text = [turned, changed && `${changed} changed`, wrong && `${wrong} to fix`].filter(Boolean).join(", ");
    if (this.count.textContent !== text) this.count.textContent = text;
    this.count.classList.toggle("wrong", wrong > 0);
  }
}

// --- all of it

const isNone = (value) => value === null || value === undefined;

class Form {
  constructor(place, store) {
    Object.assign(this, { store, place, fields: new Map(), extras: [], sections: new Map() });
    place.append(...this.build(root));
    for (const section of this.sections.values()) section.parts = this.partsWithin(section);
    this.update(store.document);
    for (const name of OPEN_AT_FIRST) this.sections.get(`/${name}`).element.open = true;
  }

  // The fields and sections within a section that can be changed or wrong; itself too, but for being turned on or off.
  partsWithin(section) {
    const { pointer } = section.entry;
    const within = (part) => part.entry.pointer === pointer || part.entry.pointer.startsWith(`${pointer}/`);
    const own = { entry: section.entry, get problem() { return section.problem; } };
    return [own, ...[...this.fields.values(), ...this.extras, ...this.sections.values()].filter((part) => part !== section && within(part))];
  }

  // The parts of a section: its parameters first, then its sections, then what the library knows besides.
  build(entry) {
    const fields = entry.children.filter((child) => !child.isSection);
    const own = fields.filter((child) => !child.isLibrary).map((child) => this.field(child));
    const sections = entry.children.filter((child) => child.isSection).map((child) => this.section(child));
    const rest = fields.filter((child) => child.isLibrary).map((child) => this.field(child));
    if (entry.isOpen) rest.push(this.extra(entry));
    const named = rest.length - entry.isOpen;
    const title = named ? `${named} more settings of the library's` : "Other settings of the library's";
    const more = rest.length ? [element("details", { class: "section more" }, element("summary", {}, title), element("div", {}, ...rest))] : [];
    return [...own, ...sections, ...more];
  }

  field(entry) {
    const field = new Field(entry, this.store);
    this.fields.set(entry.pointer, field);
    return field.element;
  }

  extra(entry) {
    this.extras.push(new ExtraField(entry, this.store));
    return this.extras.at(-1).element;
  }

  section(entry) {
    const section = new SectionBox(entry, this.store);
    this.sections.set(entry.pointer, section);
    // A parameter that is an object or something else has a field for the choice, above the object's fields.
    if (entry.isField) section.element.insertBefore(this.field(entry), section.body);
    section.body.append(...this.build(entry));
    return section.element;
  }

  update(document, problems = []) {
    for (const field of this.fields.values()) field.show(document);
    for (const field of this.extras) field.show(document);
    for (const section of this.sections.values()) section.show(document);
    this.showProblems(problems);
    this.showSorter(current(document, entries.get("/spikesorting/sorter")));
  }

  showProblems(problems) {
    const texts = new Map();
    for (const { path, text } of problems) {
      const entry = nearestEntry(path);
      const inside = path.slice(entry.path.length).join(".");
      texts.set(entry.pointer, [...(texts.get(entry.pointer) ?? []), inside ? `${inside}: ${text}` : text]);
    }
    for (const [pointer, field] of this.fields) field.showProblems(texts.get(pointer) ?? []);
    for (const [pointer, section] of this.sections) section.showProblems(this.fields.has(pointer) ? [] : texts.get(pointer) ?? []);
    for (const section of this.sections.values()) section.showCount();
  }

  // The chosen sorter's section is open and the others are folded; with none chosen they are as they were.
  showSorter(sorter) {
    if (sorter === this.sorter) return;
    const sections = [...this.sections.values()].filter(({ entry }) => entry.parent === entries.get("/spikesorting"));
    if (isNone(this.sorter)) this.folds = new Map(sections.map((section) => [section, section.element.open]));
    for (const section of sections) section.element.open = isNone(sorter) ? this.folds.get(section) : section.entry.name === sorter;
    this.sorter = sorter;
  }

  openAll(isOpen) {
    for (const details of this.place.querySelectorAll("details")) details.open = isOpen;
  }

  // Shows the field of a path, or the nearest part around it.
  reveal(path) {
    const entry = nearestEntry(path);
    const field = this.fields.get(entry.pointer);
    const target = field?.element ?? this.sections.get(entry.pointer)?.element;
    for (let part = target; part; part = part.parentElement) {
      part.hidden = false;
      if (part.tagName === "DETAILS") part.open = true;
    }
    target?.scrollIntoView({ block: "center" });
    if (field && field.widgetName !== "none") field.focus();
    else target?.querySelector("summary, input")?.focus();
  }

  // Shows the fields that have all the words; returns how many. `@modified` and `@error` are words too.
  search(text, changedOnly) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = { words: words.filter((word) => !word.startsWith("@")), modified: changedOnly || words.includes("@modified"), error: words.includes("@error") };
    const isFiltered = words.length > 0 || changedOnly;
    this.rememberOpen(isFiltered);
    let count = 0;
    for (const field of [...this.fields.values(), ...this.extras]) {
      const isShown = !isFiltered || field.matches(wanted);
      field.element.hidden = !isShown;
      count += isShown && this.fields.has(field.entry.pointer);
    }
    const found = [...this.sections.values()].filter((section) => isFiltered && section.toggle && section.matches(wanted));
    this.showSections(isFiltered, new Set(found.map((section) => section.element)));
    return count + found.length;
  }

  // Sections that are not found themselves and have nothing to show are not shown; inner ones come first.
  showSections(isFiltered, found) {
    for (const details of [...this.place.querySelectorAll("details")].reverse()) {
      details.hidden = isFiltered && !found.has(details) && !details.querySelector(".field:not([hidden]), details:not([hidden])");
      if (isFiltered) details.open = !details.hidden;
    }
  }

  // What was open before a search is open again after it.
  rememberOpen(isFiltered) {
    const all = [...this.place.querySelectorAll("details")];
    if (isFiltered && !this.opened) this.opened = new Map(all.map((details) => [details, details.open]));
    if (isFiltered || !this.opened) return;
    for (const details of all) details.open = this.opened.get(details);
    this.opened = null;
  }
}
