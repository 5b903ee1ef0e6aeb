// The form: a section for each object of the schema, a field for each parameter. The essential ones, and what a search names,
// are picked out of their sections and shown first.
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
  if (!isLibrary && !entry.choices && !node.items?.enum) parts.push(`${capital(allowed({ ...entry, node: withoutForm(node, known), isNullable }))}.`);
  if (node.gui_name) parts.push(`In Kilosort's own window: ${node.gui_name}, under ${node.step}.`);
  return parts.filter(Boolean).join(" ");
}

// A description has an example where the default is none; the form itself is in the message about a wrong value.
const withoutForm = (node, known) => (known === null ? { ...node, pattern: undefined } : node);

// The descriptions have names in backticks.
function prose(text) {
  return text.split("`").map((words, index) => (index % 2 ? element("code", {}, words) : words));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function docsLink(entry) {
  return element("a", { class: "docs", href: documentation(entries.get(pointerOf(entry.path))), target: "_blank", rel: "noopener" }, "docs", element("span", { class: "hidden" }, ` of ${entry.dotted}`));
}

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
      element("div", { class: "head" }, this.label, this.badge, docsLink(entry)), element("div", { class: "control" }, this.slot, ...unit, ...controls, this.back), this.error, this.about);
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

  // How well words name the parameter: 0 is its name, 1 begins with it, 2 has all of them in it, 3 has them elsewhere; half more
  // for one that is off.
  rank(words) {
    return this.nameRank(words) + (this.element.closest("fieldset:disabled") ? 0.5 : 0);
  }

  nameRank(words) {
    const [name, dotted, typed] = [this.entry.name.toLowerCase(), this.entry.dotted.toLowerCase(), words.join("_")];
    if (name === typed || words.some((word) => word === name || word === dotted || (word.includes(".") && dotted.endsWith(`.${word}`)))) return 0;
    if (name.startsWith(typed)) return 1;
    return words.every((word) => name.includes(word)) ? 2 : 3;
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
    this.section = entry.pointer;
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

  // A mistake in a key is the section's.
  matches(wanted) {
    return super.matches(wanted.error && this.isWrong ? { ...wanted, error: false } : wanted);
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

// --- fields that are picked out of their sections

// Shows a part of the form under a heading; it returns to its section later.
class Pick {
  constructor(part) {
    const { entry } = part;
    this.part = part;
    this.home = document.createComment("");
    part.element.replaceWith(this.home);
    const where = entry.parent.dotted ? [element("p", { class: "where" }, entry.parent.dotted)] : [];
    this.element = element("fieldset", { class: "pick", "aria-label": entry.dotted }, ...where, part.element);
  }

  // A section that is off disables what is in it.
  show() {
    this.element.disabled = this.home.parentElement.closest("fieldset:disabled") !== null;
  }

  putBack() {
    this.home.replaceWith(this.part.element);
  }
}

// --- all of it

// Picks of a search; more of them would hide the sections with the rest.
const MOST_PICKS = 40;

const isNone = (value) => value === null || value === undefined;

class Form {
  // `place` has the sections, `first` what is picked out of them.
  constructor(place, first, store) {
    Object.assign(this, { store, place, first, fields: new Map(), extras: [], sections: new Map(), picks: [] });
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
    for (const pick of this.picks) pick.show();
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
    for (const extra of this.extras) extra.isWrong = Boolean(this.sections.get(extra.section).problem);
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

  // Whether a parameter, or the nearest part around it, is not among those that are shown.
  isHidden(path) {
    const { pointer } = nearestEntry(path);
    const part = this.fields.get(pointer) ?? this.sections.get(pointer);
    return part === undefined || part.element.closest("[hidden]") !== null;
  }

  openAll(isOpen) {
    for (const details of this.place.querySelectorAll("details")) details.open = isOpen;
  }

  // Shows the field of a path, or the nearest part around it; the sections have to be shown.
  reveal(path) {
    const entry = nearestEntry(path);
    const field = this.fields.get(entry.pointer);
    const target = field?.element ?? this.sections.get(entry.pointer)?.element;
    for (let part = target; part; part = part.parentElement) {
      part.hidden = false;
      if (part.tagName === "DETAILS") part.open = true;
    }
    target?.scrollIntoView({ block: field ? "center" : "start" });
    if (field && field.widgetName !== "none") field.focus();
    else target?.querySelector("summary, input")?.focus();
  }

  // Shows the essential parameters, all of them in their sections, or those that a search asks for: first the ones that it names,
  // then the sections with the others. Returns how many were found. `@modified` and `@error` are words too.
  arrange({ text, changedOnly, all }) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = { words: words.filter((word) => !word.startsWith("@")), modified: changedOnly || words.includes("@modified"), error: words.includes("@error") };
    const isFiltered = words.length > 0 || changedOnly;
    this.putBack();
    this.rememberOpen(isFiltered);
    this.place.hidden = !isFiltered && !all;
    const fields = this.filterFields((field) => !isFiltered || field.matches(wanted));
    const sections = [...this.sections.values()].filter((section) => isFiltered && (section.toggle || wanted.error) && section.matches(wanted));
    if (isFiltered && wanted.words.length) this.pickNamed(fields, wanted.words);
    else if (this.place.hidden) for (const { title, paths } of ESSENTIALS) this.pick(title, paths.map((dotted) => this.partOf(dotted)));
    this.showSections(isFiltered, new Set(sections.map((section) => section.element)));
    return fields.length + sections.length;
  }

  // Shows the fields that pass; returns the parameters among them.
  filterFields(passes) {
    for (const field of [...this.fields.values(), ...this.extras]) field.element.hidden = !passes(field);
    return [...this.fields.values()].filter((field) => !field.element.hidden);
  }

  // The field of a parameter, or its section where it has several.
  partOf(dotted) {
    const pointer = pointerOf(split(dotted));
    return this.sections.get(pointer) ?? this.fields.get(pointer);
  }

  // The best names first, in the schema's order among equals.
  pickNamed(fields, words) {
    const ranked = fields.filter(({ entry }) => !entry.isSection).map((field) => ({ field, rank: field.rank(words) })).filter(({ rank }) => rank < 3);
    ranked.sort((a, b) => a.rank - b.rank);
    this.pick("By name", ranked.slice(0, MOST_PICKS).map(({ field }) => field));
    if (ranked.length && ranked.length < fields.length) this.first.append(element("h2", {}, "In descriptions, values and sections"));
  }

  pick(title, parts) {
    if (!parts.length) return;
    const picks = parts.map((part) => new Pick(part));
    for (const pick of picks) pick.show();
    this.picks.push(...picks);
    this.first.append(element("section", { class: "group", "aria-label": title }, element("h2", {}, title), ...picks.map((pick) => pick.element)));
  }

  putBack() {
    for (const pick of this.picks) pick.putBack();
    this.picks = [];
    this.first.replaceChildren();
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
