// The units of one recording: filters, the live query, and the linked views (table, probe map, depths, firing).

class Explorer {
  constructor(place, sorting) {
    this.place = place;
    this.sorting = sorting;
    this.find = (name) => place.querySelector(`[data-part="${name}"]`);
    this.query = { text: sorting.units.query ?? "", tree: null, labels: sorting.verdict, conditions: [], error: null };
    this.filters = [];
    this.search = "";
    this.only = new Set();
    this.choices = {};
    this.selection = null;
    this.active = null;
    this.decisions = new Decisions(sorting, () => this.decided());
    this.table = new UnitTable(this.find("table"), this);
    this.queryField();
    this.filterFields();
    this.histogramPlaces();
    this.ask(this.query.text);
    for (const name of ["histograms", "views"]) near(this.find(name), () => { this.visible = true; this.draw(); });
    this.decided();
  }

  // --- the query

  queryField() {
    const field = this.find("query");
    field.value = this.query.text;
    field.addEventListener("input", () => this.ask(field.value));
    this.find("query-reset").addEventListener("click", () => { field.value = this.sorting.units.query ?? ""; this.ask(field.value); field.focus(); });
  }

  ask(text) {
    const { sorting } = this;
    const blank = text.trim() === "";
    this.query = { text, tree: null, labels: sorting.verdict, conditions: [], error: null };
    try {
      if (!blank) {
        const tree = parseQuery(text);
        this.query = { text, tree, error: null, ...labelByQuery(sorting, tree) };
        // The run's own labels count where the query is the run's.
        if (text === sorting.units.query) this.query.labels = sorting.verdict;
      }
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      this.query.error = error.message;
    }
    if (this.selection?.condition) this.selection = null;
    this.showVerdict();
    this.update();
  }

  showVerdict() {
    const { query, sorting } = this;
    const goods = (labels) => labels.filter((label) => label === "good").length;
    const [before, after] = [goods(sorting.verdict), goods(query.labels)];
    const verdict = this.find("verdict");
    const field = this.find("query");
    if (query.error) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    verdict.classList.toggle("outside", Boolean(query.error));
    if (query.error) verdict.textContent = `The query ${query.error}.`;
    else if (!query.tree) verdict.textContent = "No query: the labels are the run's.";
    else {
      const change = before === after ? `${after} good` : `${before} \u2192 ${after} good`;
      const others = LABELS.slice(1).map((label) => `${query.labels.filter((value) => value === label).length} ${label}`).join(", ");
      verdict.textContent = `${change} of ${counted(sorting.count, "unit")}; ${others}`;
    }
    const most = Math.max(1, ...query.conditions.map(({ rejects }) => rejects.length));
    this.find("conditions").replaceChildren(...query.conditions.map((condition) => {
      const pressed = this.selection?.condition === condition.text;
      return element("li", {}, element("button", {
        type: "button", class: "condition", "aria-pressed": String(pressed), style: `--share: ${(100 * condition.rejects.length) / most}%`,
        title: "Show the units that this condition rejects", onclick: () => this.select(pressed ? null : { units: new Set(condition.rejects), text: `rejected by ${condition.text}`, condition: condition.text }),
      }, element("code", {}, condition.text), element("span", {}, `rejects ${condition.rejects.length}${condition.alone ? `, ${condition.alone} alone` : ""}`)));
    }));
  }

  // --- filters

  filterFields() {
    const { sorting } = this;
    const search = this.find("search");
    search.addEventListener("input", () => { this.search = search.value.trim(); this.update(); });
    const toggles = [...LABELS, ...(sorting.suspicious.includes(true) ? ["suspicious"] : [])];
    this.find("labels").replaceChildren(...toggles.map((name) => element("button", {
      type: "button", class: "toggle", "aria-pressed": "false", "data-filter": name, onclick: ({ currentTarget: button }) => {
        const on = !this.only.delete(name);
        if (on) this.only.add(name);
        button.setAttribute("aria-pressed", String(on));
        this.update();
      },
    }, element("span", { class: `glyph ${name}`, "aria-hidden": "true" }, GLYPHS[name] ?? "!"), name)));
    const others = Object.entries(sorting.units.labels).filter(([name, values]) => !["default_qc", "suspicious"].includes(name) && !name.endsWith("_reason") && values.some((value) => typeof value === "string") && new Set(values).size < 40);
    this.find("choices").replaceChildren(...others.map(([name, values]) => {
      const options = ["any", ...new Set(values.map(shown))].map((value) => element("option", { value }, value));
      const select = element("select", { "data-filter": name, onchange: () => { this.choices[name] = select.value; this.update(); } }, ...options);
      return element("label", {}, name, select);
    }));
    const metric = this.find("metric");
    metric.append(...sorting.metricNames().filter((name) => finite(sorting.units.metrics[name]).length).map((name) => element("option", { value: name }, name)));
    metric.addEventListener("change", () => {
      if (!metric.value) return;
      this.setFilter(metric.value, null, null);
      this.find("filters").querySelector(`[data-metric="${CSS.escape(metric.value)}"] input`)?.focus();
      metric.value = "";
    });
    this.find("clear").addEventListener("click", () => this.clear());
    this.find("save").addEventListener("click", () => this.table.download());
    this.find("all-metrics").addEventListener("change", (event) => this.table.showAll(event.target.checked));
  }

  setFilter(name, least, most) {
    const existing = this.filters.find((filter) => filter.name === name);
    if (existing) Object.assign(existing, { least, most });
    else this.filters.push({ name, least, most });
    this.showFilters();
    this.update();
  }

  showFilters() {
    const bound = (filter, end, text) => {
      const input = element("input", { type: "number", step: "any", "aria-label": `${filter.name}, ${text}`, "data-filter": end, placeholder: text, value: filter[end] === null ? null : Number(filter[end].toPrecision(4)) });
      input.addEventListener("input", () => { filter[end] = input.value === "" ? null : Number(input.value); this.update(); });
      return input;
    };
    this.find("filters").replaceChildren(...this.filters.map((filter) => element("li", { "data-metric": filter.name },
      bound(filter, "least", "at least"), element("span", { title: this.sorting.metricTitle(filter.name) }, `\u2264 ${filter.name} \u2264`), bound(filter, "most", "at most"),
      element("button", { type: "button", class: "quiet-button", "aria-label": `Remove the filter by ${filter.name}`, onclick: () => { this.filters = this.filters.filter((other) => other !== filter); this.showFilters(); this.update(); this.find("metric").focus(); } }, "\u00d7"))));
  }

  select(selection) {
    this.selection = selection;
    this.showVerdict();
    this.update();
  }

  clear() {
    this.filters = [];
    this.only.clear();
    this.choices = {};
    this.search = this.find("search").value = "";
    for (const button of this.find("labels").children) button.setAttribute("aria-pressed", "false");
    for (const select of this.find("choices").querySelectorAll("select")) select.value = "any";
    this.showFilters();
    this.select(null);
  }

  passes(unit) {
    const { sorting: { ids, suspicious, units }, query } = this;
    const wanted = LABELS.filter((label) => this.only.has(label));
    return ids[unit].includes(this.search) && (!wanted.length || wanted.includes(query.labels[unit])) && (!this.only.has("suspicious") || suspicious[unit]) &&
      (!this.selection || this.selection.units.has(unit)) &&
      Object.entries(this.choices).every(([name, value]) => value === "any" || shown(units.labels[name][unit]) === value) &&
      this.filters.every(({ name, least, most }) => {
        if (least === null && most === null) return true;
        const value = units.metrics[name][unit];
        return value !== null && value >= (least ?? -Infinity) && value <= (most ?? Infinity);
      });
  }

  update() {
    const { sorting } = this;
    this.shown = sorting.ids.map((_, unit) => this.passes(unit));
    const count = this.shown.filter(Boolean).length;
    this.find("count").textContent = `${count} of ${sorting.count} units`;
    const chip = this.find("selection");
    chip.hidden = !this.selection;
    if (this.selection) chip.replaceChildren(this.selection.text, element("button", { type: "button", class: "quiet-button", "aria-label": "Remove the selection", onclick: () => { this.select(null); this.find("search").focus(); } }, "\u00d7"));
    this.table.refresh();
    this.drawSoon();
  }

  decided() {
    showDecisions(this.place, this);
    this.table?.repaint();
  }

  hover(unit) {
    if (this.active === unit) return;
    this.active = unit;
    if (this.visible) { this.drawProbe(); this.drawDepths(); }
    this.table.mark(unit);
  }

  // --- linked views

  // Once per frame, however fast the reader types.
  drawSoon() {
    if (!this.visible || this.waits) return;
    this.waits = requestAnimationFrame(() => { this.waits = null; this.draw(); });
  }

  draw() {
    if (!this.visible) return;
    this.drawProbe();
    this.drawDepths();
    this.drawFiring();
    for (const place of this.find("histograms").children) this.drawHistogram(place);
  }

  pointsAt(xs, ys) {
    const { sorting } = this;
    const points = [];
    for (let unit = 0; unit < sorting.count; unit++) {
      if (this.shown[unit] && xs[unit] !== null && ys[unit] !== null) points.push({ x: xs[unit], y: ys[unit], unit, text: this.describe(unit) });
    }
    return points;
  }

  describe(unit) {
    const { sorting, query } = this;
    const parts = [`unit ${sorting.ids[unit]}: ${query.labels[unit]}${sorting.suspicious[unit] ? ", suspicious" : ""}`];
    if (sorting.depth) parts.push(`depth ${shown(sorting.depth[unit])} \u00b5m`);
    if (sorting.amplitude) parts.push(`amplitude ${shown(sorting.amplitude[unit])} ${sorting.physicalUnit}`);
    if (sorting.rate) parts.push(`${shown(sorting.rate[unit])} Hz`);
    return parts.join("\n");
  }

  depthRange() {
    const { probe, depth } = this.sorting;
    this.depths ??= extent([...(probe?.y ?? []), ...(depth ?? [])].filter((value) => value !== null));
    const pad = 0.02 * (this.depths[1] - this.depths[0] || 40);
    return { title: "depth (\u00b5m)", least: this.depths[0] - pad, most: this.depths[1] + pad };
  }

  scatter(place, spec, xs, sizeOf) {
    const { sorting, query } = this;
    const points = this.pointsAt(xs, sorting.depth);
    plot(place, {
      ...spec, y: this.depthRange(), points: () => points, open: ({ unit }) => { location.hash = sorting.link(unit); }, hover: (point) => this.hover(point?.unit ?? null),
      select: ({ x, y }) => {
        const units = new Set(points.filter((point) => point.x >= x[0] && point.x <= x[1] && point.y >= y[0] && point.y <= y[1]).map(({ unit }) => unit));
        this.select(units.size ? { units, text: `${counted(units.size, "unit")} in the box` } : null);
      },
      draw: (painter) => {
        spec.under?.(painter);
        for (const { x, y, unit } of points) {
          const [px, py] = [painter.X(x), painter.Y(y)];
          painter.mark(px, py, sizeOf(unit), query.labels[unit], 0.8);
          if (sorting.suspicious[unit]) painter.ring(px, py, sizeOf(unit) + 2.5, "warn");
        }
        const active = points.find(({ unit }) => unit === this.active);
        if (active) painter.ring(painter.X(active.x), painter.Y(active.y), sizeOf(active.unit) + 4, "accent");
      },
    });
  }

  drawProbe() {
    const { sorting } = this;
    const place = this.find("probe");
    if (!sorting.depth) return clearPlot(place, "Positions were not computed.");
    const { probe } = sorting;
    const [least, most] = extent([...(probe?.x ?? []), ...sorting.x.filter((value) => value !== null)]);
    const pad = 0.15 * (most - least || 40);
    const bad = probe?.labels.filter((label) => label !== "good").length ?? 0;
    this.scatter(place, {
      label: `Probe map: ${probe?.ids.length ?? 0} contacts, ${bad} of them bad; ${sorting.count} units`,
      x: { title: "x (\u00b5m)", least: least - pad, most: most + pad },
      under: (painter) => { if (probe) drawContacts(painter, probe); },
    }, sorting.x, (unit) => (sorting.rate ? Math.min(9, 2.5 + 1.2 * Math.sqrt(sorting.rate[unit] ?? 0)) : 4));
  }

  drawDepths() {
    const { sorting } = this;
    const place = this.find("depths");
    if (!sorting.depth || !sorting.amplitude) return clearPlot(place, "Positions or amplitudes were not computed.");
    const most = Math.max(...finite(sorting.amplitude)) * 1.05;
    this.scatter(place, { label: "Depth over amplitude of the shown units", x: { title: `amplitude (${sorting.physicalUnit})`, least: 0, most } }, sorting.amplitude, () => 3.2);
  }

  drawFiring() {
    const { sorting } = this;
    const { rates } = sorting.units;
    const place = this.find("firing");
    if (!rates || !sorting.depth) return clearPlot(place, "Firing rates over time were not computed.");
    const y = this.depthRange();
    const firing = firingByDepth(sorting, y, (unit) => this.shown[unit]);
    plot(place, {
      label: "Firing rate of the shown units by depth over time", bare: true, x: { title: "time (h:min:s)", least: rates.start_s, most: rates.start_s + rates.bins * rates.width_s, time: true }, y,
      read: (time, depth) => readFiring(firing, time, depth),
      draw: (painter) => {
        painter.image(firing.values, firing.rows, firing.columns, [rates.start_s, rates.start_s + rates.bins * rates.width_s], [y.least, y.most]);
        drawPeriods(painter, sorting.recording);
      },
    });
  }

  // --- histograms of the metrics that the query uses, then of the main ones

  histogramPlaces() {
    const { sorting } = this;
    const { metrics } = sorting.units;
    const inQuery = sorting.metricNames().filter((name) => (sorting.units.query ?? "").includes(name));
    const names = [...new Set([...inQuery, ...MAIN_METRICS])].filter((name) => name in metrics && finite(metrics[name]).length > 1).slice(0, 8);
    this.find("histograms").replaceChildren(...names.map((name) => element("figure", { class: "histogram", "data-metric": name },
      element("figcaption", { title: sorting.metricTitle(name) }, name, sorting.info[name]?.unit ? ` (${sorting.info[name].unit})` : ""), element("div", { class: "plot" }))));
  }

  drawHistogram(place) {
    const { sorting, query } = this;
    const { metric } = place.dataset;
    const values = sorting.units.metrics[metric];
    this.scales ??= {};
    // Long tails are cut: the last bins hold what lies beyond.
    const scale = this.scales[metric] ??= (() => {
      const sorted = finite(values).sort((a, b) => a - b);
      const [least, most] = [quantile(sorted, 0.01), quantile(sorted, 0.98)];
      return least < most ? { least, most } : { least: least - 0.5, most: most + 0.5 };
    })();
    const thresholds = query.tree ? thresholdsOf(query.tree, metric) : [];
    const least = Math.min(scale.least, ...thresholds);
    const most = Math.max(scale.most, ...thresholds);
    const pad = 0.02 * (most - least);
    const [from, bins] = [least - pad, 36];
    const width = (most + pad - from) / bins;
    const all = new Array(bins).fill(0);
    const chosen = new Array(bins).fill(0);
    values.forEach((value, unit) => {
      if (value === null) return;
      const bin = Math.min(bins - 1, Math.max(0, Math.floor((value - from) / width)));
      all[bin] += 1;
      if (this.shown[unit]) chosen[bin] += 1;
    });
    plot(place.lastChild, {
      label: `Distribution of ${metric}${thresholds.length ? `, thresholds of the query at ${thresholds.map(shown).join(" and ")}` : ""}`,
      x: { least: from, most: from + bins * width }, y: { least: 0, most: Math.max(...all) * 1.08, hidden: true }, selects: "x",
      select: ({ x }) => this.setFilter(metric, x[0], x[1]),
      read: (x) => {
        const bin = Math.floor((x - from) / width);
        return bin >= 0 && bin < bins ? `${shown(from + bin * width)} to ${shown(from + (bin + 1) * width)}: ${counted(all[bin], "unit")}, ${chosen[bin]} shown` : null;
      },
      draw: (painter) => {
        painter.bars(all, from, width, "faint");
        painter.bars(chosen, from, width, "accent");
        for (const value of thresholds) painter.vertical(value, "bad", shown(value), []);
      },
    });
  }
}

function drawContacts(painter, probe) {
  const { ctx } = painter;
  const size = Math.max(1.5, Math.min(4, (painter.frame.bottom - painter.frame.top) / probe.y.length));
  probe.labels.forEach((label, index) => {
    const [x, y] = [painter.X(probe.x[index]), painter.Y(probe.y[index])];
    if (label === "good") {
      ctx.fillStyle = colour("contact");
      ctx.fillRect(x - size, y - size / 2, 2 * size, size);
    } else painter.mark(x, y, 3.5, "bad");
  });
}

// Sum of the rates of the chosen units in each bin of depth: values 0 to 255 by the square root, for an image.
function firingByDepth(sorting, y, chosen) {
  const { rates } = sorting.units;
  const rows = Math.max(24, Math.min(96, Math.round((y.most - y.least) / 20)));
  const hz = new Float32Array(rows * rates.bins);
  for (let unit = 0; unit < sorting.count; unit++) {
    if (!chosen(unit) || sorting.depth[unit] === null) continue;
    const row = Math.min(rows - 1, Math.max(0, Math.floor(((sorting.depth[unit] - y.least) / (y.most - y.least)) * rows)));
    const own = sorting.rates(unit);
    for (let bin = 0; bin < rates.bins; bin++) hz[row * rates.bins + bin] += own[bin];
  }
  const most = Math.max(1e-9, extent(hz)[1]);
  return { hz, rows, columns: rates.bins, most, values: Uint8Array.from(hz, (value) => 255 * Math.sqrt(value / most)), y, start: rates.start_s, width: rates.width_s };
}

function readFiring({ hz, rows, columns, y, start, width }, time, depth) {
  const column = Math.floor((time - start) / width);
  const row = Math.floor(((depth - y.least) / (y.most - y.least)) * rows);
  if (column < 0 || column >= columns || row < 0 || row >= rows) return null;
  return `${clockTime(start + column * width)}, depth ${Math.round(depth)} \u00b5m\n${shown(hz[row * columns + column])} Hz, all units of this depth`;
}
