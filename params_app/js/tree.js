// The sections at the left: the essential parameters, and the sections of the schema, two levels deep, with what is changed or wrong.
"use strict";

class SectionTree {
  // `choose(entry)` shows a section; without an entry, the essential parameters.
  constructor(place, form, choose) {
    Object.assign(this, { form, choose, items: [] });
    const essentials = this.item(null, "Essentials");
    const tops = root.children.filter((child) => child.isSection).map((entry) => this.top(entry));
    place.append(element("ul", {}, essentials, ...tops));
  }

  top(entry) {
    const inner = entry.children.filter((child) => child.isSection).map((child) => this.item(child, child.name));
    const item = this.item(entry, entry.name);
    if (inner.length) item.append(element("ul", {}, ...inner));
    return item;
  }

  item(entry, name) {
    const count = element("span", { class: "count" });
    const words = name.split(/(?<=_)/).flatMap((word, index) => (index ? [element("wbr"), word] : [word]));
    const link = element("button", { type: "button", class: "item", onclick: () => this.choose(entry) }, ...words, " ", count);
    this.items.push({ entry, count, link });
    return element("li", {}, link);
  }

  // `current` is the section that was chosen; null for the essential parameters, undefined for none.
  show(current) {
    for (const { entry, count, link } of this.items) {
      const section = entry && this.form.sections.get(entry.pointer);
      count.textContent = section?.count.textContent ?? "";
      count.classList.toggle("wrong", section?.count.classList.contains("wrong") ?? false);
      if (entry === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      // Only the chosen section lists what is in it.
      link.parentElement.classList.toggle("open", Boolean(entry) && (entry === current || entry === current?.parent));
    }
  }
}
