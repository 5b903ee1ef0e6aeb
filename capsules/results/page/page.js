// The parts of the report that move: the unit tables, the probe maps and a unit's page. Plotly draws.
"use strict";

const content = JSON.parse(document.getElementById("content").textContent);
const MAIN_METRICS = ["num_spikes", "firing_rate", "snr", "isi_violations_ratio", "presence_ratio", "amplitude_cutoff", "amplitude_median"];

// --- small helpers

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function shown(value) {
  return value === null || value === undefined ? "" : String(value);
}

// Plotly takes < and & in a text for markup.
function unmarked(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

// Numbers that Python packed: little-endian, base64.
function unpack(text, ArrayType) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new ArrayType(bytes.buffer);
}

// Unpacked once, when the first unit of a recording is opened.
function unpacked(holder, name, ArrayType) {
  const key = `unpacked ${name}`;
  holder[key] ??= unpack(holder[name], ArrayType);
  return holder[key];
}

// A colour of the style sheet, as this reader sees it: light-dark() is resolved only on an element.
const swatches = {};
function colour(name) {
  swatches[name] ??= document.body.appendChild(element("span", { hidden: "", style: `color: var(--${name})` }));
  return getComputedStyle(swatches[name]).color;
}

// Plotly is most of this file: it is run a moment after the page is there, or when the first drawing is asked for.
function library() {
  if (!window.Plotly) document.head.append(element("script", {}, document.getElementById("plotly").textContent));
  return Plotly;
}

function draw(target, traces, axes) {
  const base = { gridcolor: colour("line"), zerolinecolor: colour("line"), automargin: true };
  const layout = {
    margin: { l: 50, r: 10, t: 10, b: 40 }, showlegend: false, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("text") },
    xaxis: { ...base, ...axes.x }, yaxis: { ...base, ...axes.y },
  };
  return library().react(target, traces, layout, { displayModeBar: false, responsive: true });
}

// --- the table of one recording's units

// Labels that are sentences: one for nearly every unit, so no choice to filter by.
function isReason(name) {
  return name.endsWith("_reason");
}

function columnsOf(units) {
  const columns = Object.entries(units.labels).map(([name, values]) => ({ name, values, main: !isReason(name) }));
  if (units.places) columns.push({ name: "depth (um)", values: units.places.y, main: true });
  const names = Object.keys(units.metrics);
  for (const name of [...MAIN_METRICS.filter((main) => names.includes(main)), ...names.filter((other) => !MAIN_METRICS.includes(other))]) {
    columns.push({ name, values: units.metrics[name], main: MAIN_METRICS.includes(name) });
  }
  return columns.map((column) => ({ ...column, numeric: column.values.every((value) => value === null || typeof value === "number") }));
}

// Empty values last, whichever way it is sorted.
function compare(values, downwards) {
  return (a, b) => {
    const [x, y] = [values[a], values[b]];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
    return downwards ? -order : order;
  };
}

class UnitTable {
  constructor(place, recording) {
    this.recording = recording;
    this.units = content[recording].units;
    this.columns = [{ name: "unit", values: this.units.ids, main: true, numeric: false }, ...columnsOf(this.units)];
    this.sorted = { column: this.columns[0], downwards: false };
    this.all = false;
    this.count = element("p", { role: "status" });
    this.table = element("table");
    place.replaceChildren(
      this.filters(), this.count,
      element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Units of ${recording}` }, this.table),
    );
    this.fill();
  }

  filters() {
    const refill = () => this.fill();
    const field = (text, input) => element("label", {}, text, input);
    this.search = element("input", { type: "search", oninput: refill, "data-filter": "unit" });
    this.choices = Object.entries(this.units.labels)
      .filter(([name, values]) => !isReason(name) && values.some((value) => typeof value === "string"))
      .map(([name, values]) => {
        const options = ["any", ...new Set(values)].map((value) => element("option", { value: shown(value) }, shown(value)));
        return { values, name, select: element("select", { onchange: refill, "data-filter": name }, ...options) };
      });
    const numeric = this.columns.filter((column) => column.numeric);
    this.metric = element("select", { onchange: refill, "data-filter": "metric" }, ...numeric.map((column) => element("option", { value: column.name }, column.name)));
    this.least = element("input", { type: "number", step: "any", oninput: refill, "data-filter": "least" });
    this.most = element("input", { type: "number", step: "any", oninput: refill, "data-filter": "most" });
    const everything = element("input", { type: "checkbox", onchange: (event) => { this.all = event.target.checked; this.fill(); } });
    return element("div", { class: "filters" },
      field("Unit", this.search), ...this.choices.map((choice) => field(choice.name, choice.select)),
      ...(numeric.length ? [field("Metric", this.metric), field("at least", this.least), field("at most", this.most)] : []),
      element("label", { class: "check" }, everything, "all metrics"),
      element("button", { type: "button", onclick: () => this.download() }, "Save shown units as CSV"));
  }

  rows() {
    const column = this.columns.find(({ name }) => name === this.metric.value);
    const bound = (input, otherwise) => (input.value === "" ? otherwise : Number(input.value));
    const [least, most] = [bound(this.least, -Infinity), bound(this.most, Infinity)];
    const bounded = this.least.value !== "" || this.most.value !== "";
    const wanted = (unit) =>
      this.units.ids[unit].includes(this.search.value.trim()) &&
      this.choices.every(({ values, select }) => select.value === "any" || shown(values[unit]) === select.value) &&
      (!bounded || (column.values[unit] !== null && column.values[unit] >= least && column.values[unit] <= most));
    return [...this.units.ids.keys()].filter(wanted).sort(compare(this.sorted.column.values, this.sorted.downwards));
  }

  visibleColumns() {
    return this.columns.filter((column) => this.all || column.main);
  }

  fill() {
    const rows = this.rows();
    this.order = rows;
    const columns = this.visibleColumns();
    const heads = columns.map((column) => {
      const state = column === this.sorted.column ? (this.sorted.downwards ? "descending" : "ascending") : "none";
      const button = element("button", { type: "button", onclick: () => this.sort(column), "data-column": column.name }, column.name);
      return element("th", { scope: "col", "aria-sort": state }, button);
    });
    const body = rows.map((unit) => element("tr", {}, ...columns.map((column, index) => (index === 0
      ? element("th", { scope: "row" }, element("a", { href: `#unit/${encodeURIComponent(this.recording)}/${unit}` }, column.values[unit]))
      : element("td", { class: column.numeric ? "number" : null }, shown(column.values[unit]))))));
    this.table.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...body));
    this.count.textContent = `${rows.length} of ${this.units.ids.length} units`;
  }

  sort(column) {
    const downwards = column === this.sorted.column ? !this.sorted.downwards : column.numeric;
    this.sorted = { column, downwards };
    this.fill();
    this.table.querySelector(`[data-column="${CSS.escape(column.name)}"]`).focus();
  }

  download() {
    // A text that a spreadsheet would compute gets a quote before it.
    const plain = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : shown(value));
    const quoted = (value) => (/[",\n\r]/.test(plain(value)) ? `"${plain(value).replaceAll('"', '""')}"` : plain(value));
    const lines = [this.columns.map(({ name }) => quoted(name)), ...this.order.map((unit) => this.columns.map(({ values }) => quoted(values[unit])))];
    const file = URL.createObjectURL(new Blob([lines.map((cells) => cells.join(",")).join("\n") + "\n"], { type: "text/csv" }));
    element("a", { href: file, download: `${this.recording}_units.csv` }).click();
    URL.revokeObjectURL(file);
  }
}

// --- the probe map

const MARKS = { good: "quiet", dead: "bad", noise: "bad", saturated: "bad", out: "accent", removed: "accent" };

function contacts(probe) {
  const symbols = probe.labels.map((label) => (label === "good" ? "square-open" : "x"));
  return {
    x: probe.x, y: probe.y, mode: "markers", type: "scatter", text: probe.ids.map((id, index) => unmarked(`${id}: ${probe.labels[index]}`)), hoverinfo: "text",
    marker: { symbol: symbols, size: 7, color: probe.labels.map((label) => colour(MARKS[label] ?? "quiet")) },
  };
}

function unitPlaces(units) {
  const rates = units.metrics.firing_rate;
  const bad = units.labels.default_qc?.map((label) => label === "bad");
  return {
    x: units.places.x, y: units.places.y, mode: "markers", type: "scatter", hoverinfo: "text",
    text: units.ids.map((id, unit) => unmarked(`unit ${id}${rates ? `, ${shown(rates[unit])} Hz` : ""}`)),
    marker: {
      size: units.ids.map((_, unit) => (rates ? 7 + 4 * Math.sqrt(rates[unit] ?? 0) : 10)), opacity: 0.7,
      color: units.ids.map((_, unit) => colour(bad?.[unit] ? "bad" : "good")),
    },
  };
}

const DEPTH_AXES = { x: { title: { text: "x (um)" } }, y: { title: { text: "depth (um)" } } };

function drawProbe(place) {
  const { probe, units } = content[place.dataset.probe];
  const traces = [contacts(probe), ...(units?.places ? [unitPlaces(units)] : [])];
  draw(place, traces, DEPTH_AXES).then(() => {
    place.on("plotly_click", ({ points: [point] }) => {
      if (point.curveNumber === 1) location.hash = `#unit/${encodeURIComponent(place.dataset.probe)}/${point.pointIndex}`;
    });
  });
}

// --- a unit's page

const page = document.getElementById("unit");
const part = (name) => document.getElementById(`unit-${name}`);
const tables = {};

function missing(target, extension) {
  library().purge(target);
  target.textContent = `Not computed: postprocessing.extensions.${extension} is null.`;
}

// Each channel's waveform is drawn at its contact; the contacts' pitch gives the scale.
function drawWaveform(target, { waveforms }, probe, unit) {
  if (!waveforms) return missing(target, "templates");
  const [, samples, channels] = waveforms.shape;
  const values = unpacked(waveforms, "values", Int16Array).subarray(unit * 2 * samples * channels, (unit + 1) * 2 * samples * channels);
  const traces = [];
  const spread = (axis) => Math.max(...axis) - Math.min(...axis);
  const places = waveforms.channels[unit].map((channel, index) => {
    return probe ? { x: probe.x[channel], y: probe.y[channel], name: probe.ids[channel] } : { x: 0, y: 20 * index, name: `channel ${channel}` };
  });
  const columns = [...new Set(places.map(({ x }) => x))].sort((a, b) => a - b);
  const gaps = columns.slice(1).map((x, index) => x - columns[index]);
  const width = 0.9 * Math.min(...gaps, 40);
  const height = Math.max(20, spread(places.map(({ y }) => y)) / channels) / 1000;
  places.forEach(({ x, y, name }, channel) => {
    const at = (kind, sample) => values[(kind * samples + sample) * channels + channel];
    const times = Array.from({ length: samples }, (_, sample) => x + width * (sample / (samples - 1) - 0.5));
    const mean = times.map((_, sample) => y + height * at(0, sample));
    const [above, below] = [1, -1].map((sign) => mean.map((value, sample) => value + sign * height * at(1, sample)));
    traces.push({ x: [...times, ...times.toReversed()], y: [...above, ...below.toReversed()], fill: "toself", mode: "none", fillcolor: colour("line"), opacity: 0.5, hoverinfo: "skip" });
    traces.push({ x: times, y: mean, mode: "lines", line: { color: colour("accent") }, text: unmarked(name), hoverinfo: "text" });
  });
  const largest = (waveforms.scale[unit] * 1000).toPrecision(3);
  target.setAttribute("aria-label", `Waveform on ${channels} channels, at most ${largest} ${waveforms.unit}`);
  return draw(target, traces, { x: { title: { text: `contacts, x (um); largest value ${largest} ${waveforms.unit}` }, zeroline: false }, y: { title: { text: "depth (um)" }, zeroline: false } });
}

function drawCorrelogram(target, { correlograms }, unit) {
  if (!correlograms) return missing(target, "correlograms");
  const { bins, start_ms: start, width_ms: width } = correlograms;
  const rates = unpacked(correlograms, "rates_hz", Float32Array).subarray(unit * bins, (unit + 1) * bins);
  const bars = { x: Array.from(rates, (_, bin) => start + width * (bin + 0.5)), y: rates, type: "bar", width, marker: { color: colour("accent") } };
  return draw(target, [bars], { x: { title: { text: "lag (ms)" } }, y: { title: { text: "rate (Hz)" } } });
}

function drawAmplitudes(target, { amplitudes }, unit) {
  if (!amplitudes) return missing(target, "spike_amplitudes");
  const first = amplitudes.counts.slice(0, unit).reduce((sum, count) => sum + count, 0);
  const of = (name) => unpacked(amplitudes, name, Float32Array).subarray(first, first + amplitudes.counts[unit]);
  const points = { x: of("times_s"), y: of("values"), mode: "markers", type: "scatter", marker: { size: 4, color: colour("accent") } };
  return draw(target, [points], { x: { title: { text: "time (s)" } }, y: { title: { text: `amplitude (${amplitudes.unit})` } } });
}

function drawPlace(target, { probe, units }, unit) {
  if (!units.places) return missing(target, "unit_locations");
  const here = { x: [units.places.x[unit]], y: [units.places.y[unit]], mode: "markers", type: "scatter", hoverinfo: "skip", marker: { size: 16, color: colour("accent") } };
  return draw(target, [...(probe ? [contacts(probe)] : []), unitPlaces(units), here], DEPTH_AXES);
}

function unitLink(recording, unit, text) {
  return element("a", { href: `#unit/${encodeURIComponent(recording)}/${unit}` }, text);
}

function similarUnits(recording, { similar, ids }, unit) {
  if (!similar) return ["Not computed: postprocessing.extensions.template_similarity is null."];
  if (!similar[unit].length) return ["There is no other unit."];
  return similar[unit].flatMap(([other, value], index) => [index ? ", " : "", unitLink(recording, other, ids[other]), ` (${value})`]);
}

function openUnit(recording, unit) {
  const { units, probe } = content[recording];
  if (!page.open) page.showModal();
  part("title").textContent = `Unit ${units.ids[unit]} of ${recording}`;
  const labels = Object.entries(units.labels).filter(([, values]) => shown(values[unit]) !== "");
  part("labels").replaceChildren(...labels.map(([name, values]) => element("li", {}, `${name}: ${shown(values[unit])}`)));
  part("similar").replaceChildren(...similarUnits(recording, units, unit));
  const rows = Object.entries(units.metrics).map(([name, values]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "number" }, shown(values[unit]))));
  part("metrics").replaceChildren(...rows);
  drawWaveform(part("waveform"), units, probe, unit);
  drawCorrelogram(part("correlogram"), units, unit);
  drawAmplitudes(part("amplitudes"), units, unit);
  drawPlace(part("place"), content[recording], unit);
  // Previous and next go by the table as it is sorted and filtered now.
  const { order } = tables[recording];
  const [at, focused] = [order.indexOf(unit), document.activeElement];
  for (const [name, neighbour] of [["before", order[at - 1]], ["after", at < 0 ? order[0] : order[at + 1]]]) {
    part(name).disabled = neighbour === undefined;
    part(name).onclick = () => { location.hash = `#unit/${encodeURIComponent(recording)}/${neighbour}`; };
  }
  // A disabled button loses the keyboard focus.
  if (focused.disabled) part("close").focus();
}

function followHash() {
  const [, recording, unit] = location.hash.match(/^#unit\/([^/]+)\/(\d+)$/) ?? [];
  const name = Object.keys(content).find((id) => encodeURIComponent(id) === recording);
  if (content[name]?.units?.ids[Number(unit)] !== undefined) openUnit(name, Number(unit));
  else if (page.open) page.close();
}

for (const place of document.querySelectorAll("[data-units]")) tables[place.dataset.units] = new UnitTable(place, place.dataset.units);
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    drawProbe(target);
  }
});
for (const place of document.querySelectorAll("[data-probe]")) seen.observe(place);
part("close").addEventListener("click", () => page.close());
page.addEventListener("close", () => { if (location.hash.startsWith("#unit/")) history.replaceState(null, "", "#"); });
addEventListener("hashchange", followHash);
setTimeout(library, 300);
addEventListener("beforeprint", () => document.querySelectorAll("[data-probe]:not(.js-plotly-plot)").forEach(drawProbe));
followHash();
