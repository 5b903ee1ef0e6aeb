// A unit's page: why it has its label, its spikes in all views, its neighbours, and the reader's decision.

const page = byId("unit");
const part = (name) => byId(`unit-${name}`);
const open = { explorer: null, unit: null };

const notComputed = (extension) => `Not computed: postprocessing.extensions.${extension} is null.`;

// Each channel's waveform is drawn at its contact; the contacts' pitch gives the scale.
function drawWaveform(place, sorting, unit) {
  const wave = sorting.waveform(unit);
  if (!wave) return clearPlot(place, notComputed("templates"));
  const { probe, units: { waveforms } } = sorting;
  const places = wave.channels.map((channel, index) => (probe ? { x: probe.x[channel], y: probe.y[channel], name: probe.ids[channel] } : { x: 0, y: 20 * index, name: `channel ${channel}` }));
  const distinct = (axis) => [...new Set(places.map((contact) => contact[axis]))].sort((a, b) => a - b);
  const gap = (values, otherwise) => Math.min(...values.slice(1).map((value, index) => value - values[index]), otherwise);
  const width = 0.92 * gap(distinct("x"), 40);
  const step = gap(distinct("y"), 40);
  let largest = 1e-9;
  for (let channel = 0; channel < wave.count; channel++) for (let sample = 0; sample < wave.samples; sample++) largest = Math.max(largest, Math.abs(wave.at(0, sample, channel)));
  const height = (1.25 * step) / largest;
  const [x1, x2] = extent(places.map(({ x }) => x));
  let [y1, y2] = [Infinity, -Infinity];
  places.forEach(({ y }, channel) => {
    for (let sample = 0; sample < wave.samples; sample++) {
      const [mean, spread_] = [wave.at(0, sample, channel), wave.at(1, sample, channel)];
      y1 = Math.min(y1, y + height * (mean - spread_));
      y2 = Math.max(y2, y + height * (mean + spread_));
    }
  });
  plot(place, {
    label: `Waveform on ${wave.count} channels, at most ${shown(largest)} ${sorting.physicalUnit}`,
    x: { title: `x (\u00b5m); ${waveforms.start_ms} to ${waveforms.end_ms} ms at each contact`, least: x1 - width * 0.7, most: x2 + width * 0.7, ticks: distinct("x") },
    y: { title: "depth (\u00b5m)", least: y1 - 0.1 * step, most: y2 + 0.1 * step, ticks: distinct("y") }, bare: true,
    points: () => places.map(({ x, y, name }) => ({ x, y, text: `contact ${name}\nx ${shown(x)} \u00b5m, depth ${shown(y)} \u00b5m` })),
    draw: (painter) => {
      places.forEach(({ x, y }, channel) => {
        const at = (sample) => x + width * (sample / (wave.samples - 1) - 0.5);
        const mean = (sample) => y + height * wave.at(0, sample, channel);
        const spread = (sample) => height * wave.at(1, sample, channel);
        painter.band(wave.samples, at, (sample) => mean(sample) - spread(sample), (sample) => mean(sample) + spread(sample), "shade");
        painter.line(wave.samples, at, mean, "accent", channel === 0 ? 2 : 1.4);
      });
      // The bar has the size of a round value.
      const value = [1000, 500, 200, 100, 50, 20, 10, 5, 1].find((size) => size <= largest) ?? largest;
      const { ctx, frame } = painter;
      ctx.strokeStyle = colour("text");
      const bar = Math.abs(painter.Y(height * value) - painter.Y(0));
      painter.rule(frame.right - 8, frame.top + 6, frame.right - 8, frame.top + 6 + bar);
      painter.text(`${value} ${sorting.physicalUnit}`, frame.right - 13, frame.top + 6 + bar / 2, "text", "right");
    },
  });
}

function drawCorrelogram(place, sorting, unit) {
  const { correlograms } = sorting.units;
  if (!correlograms) return clearPlot(place, notComputed("correlograms"));
  const { bins, start_ms: start, width_ms: width, refractory_ms: refractory } = correlograms;
  const rates = sorting.autocorrelogram(unit);
  const most = Math.max(1e-9, extent(rates)[1]) * 1.08;
  plot(place, {
    label: `Autocorrelogram from ${start} to ${start + bins * width} ms; refractory period ${refractory ?? "unknown"} ms`,
    x: { title: "lag (ms)", least: start, most: start + bins * width }, y: { title: "rate (Hz)", least: 0, most },
    read: (lag) => { const bin = Math.floor((lag - start) / width); return bin >= 0 && bin < bins ? `lag ${shown(start + bin * width)} to ${shown(start + (bin + 1) * width)} ms\n${shown(rates[bin])} Hz` : null; },
    draw: (painter) => {
      if (refractory) shadeLags(painter, refractory);
      painter.bars(rates, start, width, "mark");
      const mean = sorting.rate?.[unit];
      if (mean) painter.horizontal(mean, "quiet", "mean rate");
    },
  });
}

function shadeLags(painter, refractory) {
  const { ctx, frame } = painter;
  ctx.fillStyle = colour("shade");
  ctx.fillRect(painter.X(-refractory), frame.top, painter.X(refractory) - painter.X(-refractory), frame.bottom - frame.top);
  ctx.strokeStyle = colour("bad");
  ctx.setLineDash([3, 3]);
  for (const lag of [-refractory, refractory]) painter.rule(painter.X(lag), frame.top, painter.X(lag), frame.bottom);
  ctx.setLineDash([]);
}

function drawAmplitudes(place, side, sorting, unit) {
  const { amplitudes } = sorting.units;
  if (!amplitudes) { clearPlot(side, ""); return clearPlot(place, notComputed("spike_amplitudes")); }
  const density = sorting.amplitudeDensity(unit);
  const { times, values } = sorting.amplitudePoints(unit);
  const few = !density || (sorting.spikes?.[unit] ?? Infinity) <= values.length;
  const [low, high] = density ? [density.lowest, density.highest] : extent(values);
  const pad = 0.04 * (high - low || 1);
  const y = { title: `amplitude (${sorting.physicalUnit})`, least: low - pad, most: high + pad };
  const x = { title: "time (h:min:s)", least: 0, most: sorting.duration, time: true };
  plot(place, {
    label: `Amplitude over time of ${few ? counted(values.length, "spike") : "all spikes, as density"}`, x, y, bare: !few,
    draw: (painter) => {
      if (few) for (let index = 0; index < values.length; index++) painter.mark(painter.X(times[index]), painter.Y(values[index]), 1.7, "mark", 0.7);
      else painter.image(density.values, density.rows, density.columns, [density.start, density.start + density.columns * density.width], [low, high]);
      drawPeriods(painter, sorting.recording);
    },
    read: (time, value) => (time >= 0 && time <= sorting.duration ? `${clockTime(time)}, ${shown(value)} ${sorting.physicalUnit}` : null),
  });
  const counts = density ? amplitudeHistogram(density) : countedInto(values, low, high, 24);
  const width = (high - low) / counts.length;
  plot(side, {
    label: "Distribution of the amplitudes", bare: true, x: { title: "spikes", least: 0, most: extent(counts)[1] * 1.08 || 1, ticks: [] }, y: { ...y, hidden: true },
    draw: (painter) => painter.sideBars(counts, low, width, "mark"),
  });
}

// The density is a square root of counts: its square, summed over time, is the distribution.
function amplitudeHistogram({ rows, columns, values }) {
  const counts = new Float64Array(rows);
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) counts[row] += values[row * columns + column] ** 2;
  return counts;
}

function countedInto(values, low, high, bins) {
  const counts = new Float64Array(bins);
  for (const value of values) counts[Math.min(bins - 1, Math.max(0, Math.floor(((value - low) / (high - low || 1)) * bins)))] += 1;
  return counts;
}

function drawRates(place, sorting, unit) {
  const { rates } = sorting.units;
  if (!rates) return clearPlot(place, "Firing rates over time were not computed.");
  const values = sorting.rates(unit);
  plot(place, {
    label: "Firing rate over time", x: { title: "time (h:min:s)", least: rates.start_s, most: rates.start_s + rates.bins * rates.width_s, time: true }, y: { title: "rate (Hz)", least: 0, most: extent(values)[1] * 1.08 || 1 },
    read: (time) => { const bin = Math.floor((time - rates.start_s) / rates.width_s); return bin >= 0 && bin < rates.bins ? `${clockTime(rates.start_s + bin * rates.width_s)}: ${shown(values[bin])} Hz` : null; },
    draw: (painter) => { painter.bars(values, rates.start_s, rates.width_s, "mark"); drawPeriods(painter, sorting.recording); },
  });
}

function drawPosition(place, sorting, unit) {
  const { depths } = sorting.units;
  if (!depths || !sorting.depth) return clearPlot(place, notComputed("spike_locations"));
  const values = sorting.depths(unit);
  const [low, high] = extent(values);
  // At least the distance of two contacts, so that a quiet unit looks quiet.
  const half = Math.max(20, (high - low) * 0.6);
  const middle = (low + high) / 2;
  plot(place, {
    label: "Depth of the unit over time", x: { title: "time (h:min:s)", least: depths.start_s, most: depths.start_s + depths.bins * depths.width_s, time: true }, y: { title: "depth (\u00b5m)", least: middle - half, most: middle + half },
    read: (time) => { const bin = Math.floor((time - depths.start_s) / depths.width_s); return bin >= 0 && bin < depths.bins && !Number.isNaN(values[bin]) ? `${clockTime(depths.start_s + bin * depths.width_s)}: ${shown(values[bin])} \u00b5m` : null; },
    draw: (painter) => painter.line(depths.bins, (bin) => depths.start_s + (bin + 0.5) * depths.width_s, (bin) => values[bin], "accent", 1.8),
  });
}

function drawPlace(place, sorting, unit) {
  if (!sorting.depth) return clearPlot(place, notComputed("unit_locations"));
  const { probe } = sorting;
  const near_ = 160;
  const middle = sorting.depth[unit] ?? 0;
  const [least, most] = extent([...(probe?.x ?? []), ...sorting.x.filter((value) => value !== null)]);
  const pad = 0.3 * (most - least || 40);
  const points = sorting.ids.map((id, other) => ({ x: sorting.x[other], y: sorting.depth[other], unit: other, text: open.explorer.describe(other) })).filter(({ y }) => Math.abs(y - middle) < near_);
  plot(place, {
    label: `Unit ${sorting.ids[unit]} and the units around it on the probe`, x: { title: "x (\u00b5m)", least: least - pad, most: most + pad }, y: { title: "depth (\u00b5m)", least: middle - near_, most: middle + near_ }, bare: true,
    points: () => points, open: ({ unit: other }) => { location.hash = sorting.link(other); },
    draw: (painter) => {
      if (probe) drawContacts(painter, probe);
      for (const { x, y, unit: other } of points) painter.mark(painter.X(x), painter.Y(y), 4, open.explorer.query.labels[other], 0.85);
      painter.ring(painter.X(sorting.x[unit]), painter.Y(middle), 9, "accent");
    },
  });
}

// --- neighbours: similar units and merge candidates, each with its cross-correlogram and evidence

function neighbours(sorting, unit) {
  const byUnit = new Map();
  for (const merge of sorting.merges[unit]) {
    const other = merge.units[0] === unit ? merge.units[1] : merge.units[0];
    byUnit.set(other, { other, similarity: merge.similarity, merge });
  }
  for (const [other, similarity] of sorting.units.similar?.[unit] ?? []) if (!byUnit.has(other)) byUnit.set(other, { other, similarity, merge: null });
  return [...byUnit.values()];
}

function evidence({ similarity, merge }, sorting, unit, other) {
  const facts = [`templates ${shown(similarity)} similar`];
  if (merge?.distance_um !== null && merge?.distance_um !== undefined) facts.push(`${shown(merge.distance_um)} \u00b5m apart`);
  else if (sorting.depth && sorting.depth[unit] !== null && sorting.depth[other] !== null) facts.push(`${shown(Math.round(Math.hypot(sorting.depth[unit] - sorting.depth[other], sorting.x[unit] - sorting.x[other])))} \u00b5m apart`);
  if (merge?.dip < 0) facts.push(`${Math.round(-100 * merge.dip)} % more spike pairs than expected in the refractory period: two neurons`);
  else if (typeof merge?.dip === "number") facts.push(`${Math.round(100 * merge.dip)} % of the expected spike pairs are missing in the refractory period (100 %: one neuron, 0 %: two)`);
  if (typeof merge?.refractory_violations === "number") facts.push(`as one unit, ${shown(100 * merge.refractory_violations)} % of the spikes violate the refractory period`);
  return facts.join("; ");
}

function showNeighbours(sorting, unit) {
  const list = part("similar");
  for (const place of list.querySelectorAll(".plot")) plots.get(place)?.dispose();
  if (!sorting.units.similar) return list.replaceChildren(element("li", {}, notComputed("template_similarity")));
  const similar = neighbours(sorting, unit);
  if (!similar.length) return list.replaceChildren(element("li", {}, "There is no other unit."));
  const { decisions } = open.explorer;
  list.replaceChildren(...similar.map((neighbour) => {
    const { other, merge } = neighbour;
    const place = element("div", { class: "plot" });
    const counts = sorting.crossCorrelogram(unit, other);
    const merged = decisions.merged(unit, other);
    const button = element("button", { type: "button", "aria-pressed": String(merged), "data-merge": sorting.ids[other], onclick: () => {
      if (merged) decisions.unmerge(other);
      else decisions.merge(unit, other);
      showNeighbours(sorting, unit);
      showDecision(sorting, unit);
      list.querySelector(`[data-merge="${CSS.escape(sorting.ids[other])}"]`)?.focus();
    } }, merged ? "Merged: undo" : "Merge");
    const item = element("li", { class: merge ? "candidate" : null },
      element("div", { class: "head" }, element("a", { href: sorting.link(other) }, `Unit ${sorting.ids[other]}`), " ", element("span", { class: `glyph ${sorting.verdict[other]}`, "aria-hidden": "true" }, GLYPHS[sorting.verdict[other]] ?? ""), ` ${sorting.verdict[other] === "none" ? "" : sorting.verdict[other]}`, ...(merge ? [element("span", { class: "chip warn" }, "merge candidate")] : []), button),
      ...(counts ? [place] : [element("p", { class: "quiet" }, "No cross-correlogram.")]), element("p", { class: "quiet" }, evidence(neighbour, sorting, unit, other)));
    if (counts) queueMicrotask(() => drawPair(place, sorting, counts, `Cross-correlogram of units ${sorting.ids[unit]} and ${sorting.ids[other]}`));
    return item;
  }));
}

function drawPair(place, sorting, counts, label) {
  const { start_ms: start, width_ms: width, bins } = sorting.units.pairs;
  const refractory = sorting.units.correlograms?.refractory_ms;
  plot(place, {
    label, x: { title: "lag (ms)", least: start, most: start + bins * width }, y: { title: "spikes", least: 0, most: extent(counts)[1] * 1.08 || 1 },
    read: (lag) => { const bin = Math.floor((lag - start) / width); return bin >= 0 && bin < bins ? `lag ${shown(start + bin * width)} to ${shown(start + (bin + 1) * width)} ms\n${counted(counts[bin], "spike pair")}` : null; },
    draw: (painter) => { if (refractory) shadeLags(painter, refractory); painter.bars(counts, start, width, "mark"); },
  });
}

// --- words

function showReasons(sorting, unit) {
  const { labels } = sorting.units;
  const label = sorting.verdict[unit];
  const reason = shown(labels.default_qc_reason?.[unit]);
  const lines = [];
  if (label !== "none") {
    const why = reason ? `: ${reason}` : label === "good" ? ": it meets every condition of the query." : ".";
    lines.push(element("li", {}, element("span", { class: `glyph ${label}`, "aria-hidden": "true" }, GLYPHS[label] ?? ""), " ", element("strong", {}, label), why));
  } else lines.push(element("li", {}, "No label: the run had no curation query."));
  const now = open.explorer.query.labels[unit];
  if (now !== label) lines.push(element("li", {}, "By the query in the table's field: ", element("strong", {}, now)));
  if (sorting.suspicious[unit]) lines.push(element("li", {}, element("span", { class: "glyph suspicious", "aria-hidden": "true" }, "!"), " ", element("strong", {}, "suspicious"), `: ${shown(labels.suspicious_reason?.[unit])}`));
  for (const [name, values] of Object.entries(labels)) {
    if (["default_qc", "default_qc_reason", "suspicious", "suspicious_reason"].includes(name) || shown(values[unit]) === "") continue;
    lines.push(element("li", {}, `${name}: ${shown(values[unit])}`));
  }
  for (const { sorter, unit: other, agreement } of agreeing(sorting, unit)) {
    lines.push(element("li", {}, other === null ? `${sorter}: no unit agrees with it` : `${sorter}: unit ${other} agrees best, in ${Math.round(100 * agreement)} % of the spikes that either has`));
  }
  part("labels").replaceChildren(...lines);
}

function showMetrics(sorting, unit) {
  const { metrics } = sorting.units;
  sorting.ranked ??= Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, finite(values)]));
  const thresholds = open.explorer.query.tree;
  const rows = sorting.metricNames().map((name) => {
    const value = metrics[name][unit];
    const { meaning, unit: physical } = sorting.info[name] ?? {};
    const place = typeof value === "number" && sorting.ranked[name].length > 1 ? Math.round(percentile(sorting.ranked[name], value)) : null;
    const limits = thresholds ? thresholdsOf(thresholds, name).map(shown).join(", ") : "";
    return element("tr", {}, element("th", { scope: "row", title: sorting.metricTitle(name) }, name), element("td", { class: "number" }, value === null ? "undefined" : withUnit(value, physical)),
      element("td", { class: "percentile" }, ...(place === null ? [] : [element("span", { class: "meter", style: `--share: ${place}%`, "aria-hidden": "true" }), `${place}`])),
      element("td", { class: "number" }, limits), element("td", { class: "quiet wide-only" }, meaning ?? ""));
  });
  part("metrics").replaceChildren(...rows);
}

function showDecision(sorting, unit) {
  const { decisions } = open.explorer;
  const decision = decisions.of(unit);
  for (const button of part("decide").querySelectorAll("[data-key]")) {
    const { key } = button.dataset;
    button.setAttribute("aria-pressed", String(key === "x" ? decision.removed : decision.label === DECISION_KEYS[key]));
    button.onclick = () => decide(key);
  }
  const comment = part("comment");
  comment.value = decision.comment;
  comment.oninput = () => decisions.set(unit, { comment: comment.value.trim() });
  const { decided } = decisions.counts();
  part("decided").textContent = `${decided} of ${sorting.count} decided`;
}

function decide(key) {
  const { explorer, unit } = open;
  if (!explorer.decisions.key(key, unit)) return;
  showDecision(explorer.sorting, unit);
}

// --- opening and leaving

function openUnit(explorer, unit) {
  const { sorting } = explorer;
  Object.assign(open, { explorer, unit });
  hideTip();
  if (!page.open) page.showModal();
  const label = sorting.verdict[unit];
  part("title").replaceChildren(`Unit ${sorting.ids[unit]}`, element("small", {}, ` ${sorting.id}`));
  page.dataset.label = label;
  showReasons(sorting, unit);
  showMetrics(sorting, unit);
  drawWaveform(part("waveform"), sorting, unit);
  drawCorrelogram(part("correlogram"), sorting, unit);
  drawAmplitudes(part("amplitudes"), part("distribution"), sorting, unit);
  drawRates(part("rates"), sorting, unit);
  drawPosition(part("position"), sorting, unit);
  drawPlace(part("place"), sorting, unit);
  showAround(part("around"), sorting, unit);
  showNeighbours(sorting, unit);
  showDecision(sorting, unit);
  // Previous and next go by the table as it is sorted and filtered now.
  const focused = document.activeElement;
  for (const [name, step] of [["before", -1], ["after", 1]]) {
    part(name).disabled = neighbourOf(step) === undefined;
    part(name).onclick = () => turn(step);
  }
  const at = explorer.table.order.indexOf(unit);
  part("count").textContent = at < 0 ? "not among the shown units" : `${at + 1} of ${explorer.table.order.length} shown`;
  // A disabled button loses the keyboard focus.
  if (focused?.disabled) part("close").focus();
}

function neighbourOf(step) {
  const { order } = open.explorer.table;
  const at = order.indexOf(open.unit);
  return at < 0 ? (step > 0 ? order[0] : undefined) : order[at + step];
}

function turn(step) {
  const next = neighbourOf(step);
  if (next !== undefined) location.hash = open.explorer.sorting.link(next);
}

page.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const step = { ArrowRight: 1, ArrowDown: 1, j: 1, ArrowLeft: -1, ArrowUp: -1, k: -1 }[event.key];
  // The arrows up and down scroll a page that is longer than the window.
  if (step && !(event.key.startsWith("Arrow") && /Up|Down/.test(event.key))) { event.preventDefault(); turn(step); }
  else if (event.key in DECISION_KEYS || event.key === "x") { event.preventDefault(); decide(event.key); }
  else if (event.key === "c") { event.preventDefault(); part("comment").focus(); }
});
part("close").addEventListener("click", () => page.close());
page.addEventListener("close", () => {
  hideTip();
  if (location.hash.startsWith("#unit/")) history.replaceState(null, "", "#");
  const { explorer, unit } = open;
  if (!explorer) return;
  const at = explorer.table.order.indexOf(unit);
  if (at >= 0) explorer.table.focusRow(at);
});
