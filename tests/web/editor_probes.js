// What the tests of the parameter editor ask of its page, in one go each; evaluated in the page.
({
  // The page's verdict on each text: the schema's errors and, without any, the rules' problems and the filled document.
  verdicts(texts) {
    return texts.map((text) => {
      const { value } = readJson(text);
      const errors = schemaErrors(value).map(({ pointer, keyword }) => [pointer, keyword]);
      if (errors.length) return [errors, [], null];
      const whole = resolved(value);
      const together = [...ruleProblems(whole), ...nameProblems(whole)];
      return [errors, together.map(({ path, text: words }) => [path.join("."), words]), JSON.stringify(whole)];
    });
  },

  // What is wrong within texts that have a language of their own, for each document.
  textProblems(texts) {
    const found = (text) => textProblemsOf(resolved(readJson(text).value));
    return texts.map((text) => found(text).map(({ path, text: words }) => [path.join("."), words]));
  },

  // Each null is toggled twice; returns how many there are, and what was not as before.
  toggleAll() {
    const folds = () => [...document.querySelectorAll("details")].map((details) => details.open).join();
    const wrong = [];
    const boxes = [...document.querySelectorAll("[data-null]")];
    for (const box of boxes.filter((one) => !one.matches(":disabled"))) {
      box.scrollIntoView({ block: "center" });
      box.focus();
      const before = { text: JSON.stringify(store.document), folds: folds(), top: scrollY };
      box.click();
      if (JSON.stringify(store.document) === before.text) wrong.push([box.dataset.null, "did nothing"]);
      box.click();
      if (JSON.stringify(store.document) !== before.text) wrong.push([box.dataset.null, JSON.stringify(store.document)]);
      if (folds() !== before.folds) wrong.push([box.dataset.null, "sections opened or closed"]);
      if (Math.abs(scrollY - before.top) > 5) wrong.push([box.dataset.null, `scrolled by ${scrollY - before.top}`]);
      if (document.activeElement !== box) wrong.push([box.dataset.null, "lost the focus"]);
    }
    return [boxes.length, wrong];
  },

  // Fifty random edits, as many undos and redos; returns what has to be true of them.
  editAndUndo(seed) {
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    const pick = (list) => list[Math.floor(random() * list.length)];
    const inputs = () => [...document.querySelectorAll("#form input, #form select, #form button")];
    const shown = () => inputs().map((input) => `${input.closest(".field")?.dataset.path} ${input.type === "checkbox" ? input.checked : input.value}`);
    const [start, look] = [JSON.stringify(store.document), shown()];
    const edit = (input) => {
      input.focus();
      if (input.tagName === "BUTTON" || input.type === "checkbox") return input.click();
      if (input.tagName === "SELECT") input.selectedIndex = Math.floor(random() * input.options.length);
      else input.value = pick(["7", "x", "0.5", "", "[1]"]);
      return input.dispatchEvent(new Event(input.tagName === "SELECT" ? "change" : "input"));
    };
    for (let edits = 0; edits < 50; ) {
      const before = store.document;
      edit(pick(inputs().filter((one) => !one.matches(":disabled") && !one.closest("[hidden]"))));
      document.activeElement.blur();
      if (store.document !== before) edits += 1;
    }
    const after = JSON.stringify(store.document);
    for (let count = 0; count < 50; count += 1) store.undo();
    const undone = { document: JSON.stringify(store.document) === start, form: shown().filter((text, index) => text !== look[index]) };
    for (let count = 0; count < 50; count += 1) store.redo();
    return { ...undone, redone: JSON.stringify(store.document) === after, edited: after !== start };
  },

  // What is seen beyond the window's right edge.
  overflowing() {
    const outside = (one) => one.checkVisibility() && !one.closest(".hidden") && one.getBoundingClientRect().right > innerWidth + 1;
    const wide = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
    return [...wide, ...[...document.querySelectorAll("body *")].filter(outside).map((one) => one.outerHTML.slice(0, 200))];
  },

  visibleFields() {
    const fields = [...document.querySelectorAll(".field[data-path]")];
    return fields.filter((field) => field.checkVisibility()).map((field) => field.dataset.path);
  },

  // A file is let go above a part of the page.
  drop(id, text) {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], "dropped.json"));
    document.getElementById(id).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  },

  pollution() {
    return [{}.polluted, Object.prototype.polluted, document.images.length, document.title];
  },
})
