// The unit table: only the rows in view exist, so that 800 units sort without a pause.

const SPARE = 6;
const SPARK = 34;

// Room for the longest word of a name.
function widthOf(name, unit) {
  return Math.max(84, 8.2 * Math.max(...name.split("_").map((word) => word.length + 1), unit.length + 2) + 22);
}

class UnitTable {
  constructor(place, explorer) {
    Object.assign(this, { place, explorer, sorting: explorer.sorting, all: false, order: [] });
    // Widths are for text of 15 pixels.
    this.scale = textSize() / 15;
    this.rowHeight = Math.round(44 * this.scale);
    place.style.setProperty("--row", `${this.rowHeight}px`);
    this.columns = this.makeColumns();
    this.sorted = { column: this.columns[0], downwards: false };
    this.head = element("thead");
    this.body = element("tbody");
    this.table = element("table", { class: "units" }, this.head, this.body);
    place.replaceChildren(this.table);
    place.addEventListener("scroll", () => this.paint(), { passive: true });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("pointerover", (event) => { const row = event.target.closest("tr[data-unit]"); if (row) explorer.hover(Number(row.dataset.unit)); });
    this.body.addEventListener("pointerleave", () => explorer.hover(null));
    new ResizeObserver(() => this.paint()).observe(place);
    this.makeHead();
  }

  makeColumns() {
    const { sorting, explorer } = this;
    const { metrics, waveforms, correlograms, rates } = sorting.units;
    const columns = [
      { name: "unit", title: "The unit's id; opens its page", width: 64, values: sorting.ids },
      { name: "label", title: "The label by the query in the field above; in brackets that of the run, where it differs", width: 116, values: () => explorer.query.labels, cell: (unit) => this.labelCell(unit) },
      { name: "yours", title: "Your decision: g good, m mua, n noise, x reject", width: 74, values: () => sorting.ids.map((_, unit) => explorer.decisions.of(unit).label ?? (explorer.decisions.of(unit).removed ? "removed" : null)), cell: (unit) => this.decisionCell(unit) },
    ];
    if (waveforms) columns.push({ name: "waveform", title: "Mean waveform on the main channel", width: 92, draw: drawWaveLine });
    if (correlograms) columns.push({ name: "autocorr.", title: "Autocorrelogram, \u00b125 ms; a gap in the middle is the refractory period", width: 112, draw: drawAcgLine });
    if (rates) columns.push({ name: "firing", title: "Firing rate over the recording", width: 112, draw: drawRateLine });
    if (sorting.depth) columns.push({ name: "depth", unit: "\u00b5m", title: "Depth on the probe", width: 84, values: sorting.depth, numeric: true });
    for (const name of sorting.metricNames()) {
      const unit = sorting.info[name]?.unit ?? "";
      columns.push({ name, unit, title: sorting.metricTitle(name), width: widthOf(name, unit), values: metrics[name], numeric: true, extra: !MAIN_METRICS.includes(name) });
    }
    for (const [name, values] of Object.entries(sorting.units.labels)) {
      if (["default_qc", "suspicious"].includes(name)) continue;
      columns.push({ name, title: name, width: name.endsWith("_reason") ? 320 : Math.max(110, 7.2 * name.length + 34), values, numeric: values.every((value) => value === null || typeof value === "number"), extra: name.endsWith("_reason") });
    }
    return columns;
  }

  visibleColumns() {
    return this.columns.filter(({ extra }) => this.all || !extra);
  }

  showAll(all) {
    this.all = all;
    this.makeHead();
    this.paint(true);
  }

  makeHead() {
    const columns = this.visibleColumns();
    this.table.style.width = `${columns.reduce((sum, { width }) => sum + width, 0) * this.scale}px`;
    this.table.setAttribute("aria-colcount", columns.length);
    const cells = columns.map((column) => {
      const state = column === this.sorted.column ? (this.sorted.downwards ? "descending" : "ascending") : column.draw ? null : "none";
      // A name may break after its underscores.
      const words = column.name.split(/(?<=_)/).flatMap((word, index) => (index ? [element("wbr"), word] : [word]));
      const text = [...words, ...(column.unit ? [element("small", {}, ` ${column.unit}`)] : [])];
      const inside = column.draw ? element("span", { title: column.title }, ...text) : element("button", { type: "button", title: column.title, "data-column": column.name, onclick: () => this.sort(column) }, ...text);
      return element("th", { scope: "col", "aria-sort": state, class: column.numeric ? "number" : null, style: `width: ${column.width * this.scale}px` }, inside);
    });
    this.head.replaceChildren(element("tr", {}, ...cells));
  }

  valuesOf(column) {
    return typeof column.values === "function" ? column.values() : column.values;
  }

  refresh() {
    const { explorer: { shown: passing }, sorted } = this;
    const values = this.valuesOf(sorted.column);
    const compare = this.compare(values, sorted.downwards);
    this.order = this.sorting.ids.map((_, unit) => unit).filter((unit) => passing[unit]).sort(compare);
    this.table.setAttribute("aria-rowcount", this.order.length + 1);
    this.paint(true);
  }

  // Missing values last, whichever way it is sorted.
  compare(values, downwards) {
    const words = new Intl.Collator(undefined, { numeric: true });
    return (a, b) => {
      const [x, y] = [values[a], values[b]];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      const order = (typeof x === "number" ? x - y : words.compare(x, y)) || a - b;
      return downwards ? -order : order;
    };
  }

  sort(column) {
    const downwards = column === this.sorted.column ? !this.sorted.downwards : Boolean(column.numeric);
    this.sorted = { column, downwards };
    this.makeHead();
    this.refresh();
    this.place.scrollTop = 0;
    this.head.querySelector(`[data-column="${CSS.escape(column.name)}"]`).focus();
  }

  // --- rows in view

  repaint() {
    this.paint(true);
  }

  paint(anew = false) {
    const { place: { scrollTop, clientHeight }, rowHeight } = this;
    const all = this.printing;
    const first = all ? 0 : Math.max(0, Math.floor(scrollTop / rowHeight) - SPARE);
    const last = all ? this.order.length : Math.min(this.order.length, Math.ceil((scrollTop + (clientHeight || 600)) / rowHeight) + SPARE);
    if (!anew && first === this.first && last === this.last) return;
    Object.assign(this, { first, last });
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.unit : null;
    const columns = this.visibleColumns();
    const spacer = (rows) => (rows ? [element("tr", { class: "spacer", "aria-hidden": "true" }, element("td", { colspan: columns.length, style: `height: ${rows * rowHeight}px` }))] : []);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.row(this.order[at], at, columns));
    this.body.replaceChildren(...spacer(first), ...rows, ...spacer(this.order.length - last));
    for (const canvas of this.body.querySelectorAll("canvas")) drawSpark(canvas, this.sorting, Number(canvas.dataset.unit), columns[canvas.dataset.column].draw);
    if (focused) this.body.querySelector(`tr[data-unit="${focused}"] a`)?.focus({ preventScroll: true });
  }

  row(unit, at, columns) {
    const cells = columns.map((column, index) => {
      if (index === 0) return element("th", { scope: "row" }, element("a", { href: this.sorting.link(unit) }, this.sorting.ids[unit]));
      if (column.draw) return element("td", { class: "spark" }, element("canvas", { width: column.width - 12, height: SPARK, "data-unit": unit, "data-column": index, "aria-hidden": "true" }));
      if (column.cell) return element("td", {}, ...column.cell(unit));
      const value = column.values[unit];
      return element("td", { class: column.numeric ? "number" : null, title: column.numeric ? null : shown(value) }, shown(value));
    });
    return element("tr", { "data-unit": unit, "aria-rowindex": at + 2, class: unit === this.explorer.active ? "active" : null }, ...cells);
  }

  labelCell(unit) {
    const { explorer: { query }, sorting } = this;
    const [now, run] = [query.labels[unit], sorting.verdict[unit]];
    const parts = [element("span", { class: `glyph ${now}`, "aria-hidden": "true" }, GLYPHS[now] ?? GLYPHS.none), now === "none" ? "" : now];
    if (now !== run && run !== "none") parts.push(element("small", {}, ` (${run})`));
    if (sorting.suspicious[unit]) parts.push(element("span", { class: "glyph suspicious", title: `suspicious: ${sorting.units.labels.suspicious_reason?.[unit] ?? ""}` }, element("span", { class: "unseen" }, " suspicious"), " !"));
    return parts;
  }

  decisionCell(unit) {
    const { label, removed } = this.explorer.decisions.of(unit);
    return removed ? ["removed"] : label ? [element("strong", {}, label)] : [];
  }

  mark(unit) {
    this.body.querySelector("tr.active")?.classList.remove("active");
    if (unit !== null) this.body.querySelector(`tr[data-unit="${unit}"]`)?.classList.add("active");
  }

  key(event) {
    const row = event.target.closest("tr[data-unit]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.order.indexOf(Number(row.dataset.unit));
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step) {
      event.preventDefault();
      this.focusRow(Math.max(0, Math.min(this.order.length - 1, at + step)));
    } else if (this.explorer.decisions.key(event.key, this.order[at])) {
      event.preventDefault();
      this.focusRow(at);
    }
  }

  focusRow(at) {
    const { place, rowHeight } = this;
    const bottom = (at + 1) * rowHeight + this.head.offsetHeight + 16;
    if (at * rowHeight < place.scrollTop) place.scrollTop = at * rowHeight;
    if (bottom > place.scrollTop + place.clientHeight) place.scrollTop = bottom - place.clientHeight;
    this.paint();
    this.explorer.hover(this.order[at]);
    this.body.querySelector(`tr[data-unit="${this.order[at]}"] a`)?.focus({ preventScroll: true });
  }

  download() {
    // A text that a spreadsheet would compute gets a quote before it.
    const plain = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value === null || value === undefined ? "" : String(value));
    const quoted = (value) => (/[",\n\r]/.test(plain(value)) ? `"${plain(value).replaceAll('"', '""')}"` : plain(value));
    const columns = [{ name: "unit", values: this.sorting.ids }, ...Object.entries(this.sorting.units.labels).map(([name, values]) => ({ name, values })), ...this.columns.filter(({ name, numeric }) => numeric && !(name in this.sorting.units.labels)).map((column) => ({ name: column.unit ? `${column.name} (${column.unit})` : column.name, values: column.values }))];
    const lines = [columns.map(({ name }) => quoted(name)), ...this.order.map((unit) => columns.map(({ values }) => quoted(values[unit])))];
    save(`${lines.map((cells) => cells.join(",")).join("\n")}\n`, "text/csv", `${this.sorting.id}_units.csv`);
  }
}

// --- the small drawings of a row

function drawSpark(canvas, sorting, unit, draw) {
  const [width, height] = [Number(canvas.getAttribute("width")), SPARK];
  const ratio = Math.min(2, devicePixelRatio || 1);
  canvas.style.width = `${width}px`;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const ctx = canvas.getContext("2d");
  ctx.scale(ratio, ratio);
  draw(ctx, sorting, unit, width, height);
}

function drawWaveLine(ctx, sorting, unit, width, height) {
  const wave = sorting.waveform(unit);
  const main = 0;
  let [least, most] = [0, 0];
  for (let sample = 0; sample < wave.samples; sample++) { const value = wave.at(0, sample, main); least = Math.min(least, value); most = Math.max(most, value); }
  ctx.strokeStyle = colour("accent");
  ctx.lineWidth = 1.4;
  ctx.beginPath();
  for (let sample = 0; sample < wave.samples; sample++) ctx.lineTo((sample / (wave.samples - 1)) * width, 2 + ((most - wave.at(0, sample, main)) / (most - least || 1)) * (height - 4));
  ctx.stroke();
}

function drawBarsLine(ctx, values, from, to, width, height) {
  let most = 1e-9;
  for (let index = from; index < to; index++) most = Math.max(most, values[index]);
  const step = width / (to - from);
  ctx.fillStyle = colour("mark");
  for (let index = from; index < to; index++) {
    const tall = (values[index] / most) * (height - 4);
    ctx.fillRect((index - from) * step, height - 1 - tall, Math.max(0.8, step), tall);
  }
}

function drawAcgLine(ctx, sorting, unit, width, height) {
  const { start_ms: start, width_ms: bin, bins, refractory_ms: refractory } = sorting.units.correlograms;
  const [from, to] = [Math.max(0, Math.round((-25 - start) / bin)), Math.min(bins, Math.round((25 - start) / bin))];
  if (refractory) {
    const scale = width / ((to - from) * bin);
    ctx.fillStyle = colour("shade");
    ctx.fillRect(width / 2 - refractory * scale, 0, 2 * refractory * scale, height);
  }
  drawBarsLine(ctx, sorting.autocorrelogram(unit), from, to, width, height);
}

function drawRateLine(ctx, sorting, unit, width, height) {
  const rates = sorting.rates(unit);
  drawBarsLine(ctx, rates, 0, rates.length, width, height);
}
