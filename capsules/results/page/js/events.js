// Events of digital lines: their timeline, and the units around those of the line that the run's parameters name.

const LONGEST_NAME = 20;
const cutName = (name) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}\u2026` : name);

function describeEvents(figure, { lines, silent, not_shown: more }) {
  figure.querySelector(".plot").style.height = `${2.6 + 1.7 * Math.max(1, lines.length)}rem`;
  const sentences = [];
  if (lines.some(({ density }) => density)) sentences.push("Lines with more than 1000 events are shown as density: a stronger colour is more.");
  if (more.length) sentences.push(`${counted(more.length, "further line")} in events/: ${more.join(", ")}.`);
  if (silent.length) sentences.push(`No events during this recording: ${silent.join(", ")}.`);
  figure.querySelector(".remark").textContent = sentences.join(" ");
}

// The high periods of a line: when each begins, and how long it is.
function highPeriods(line) {
  return line.starts_s === undefined ? null : [unpacked(line, "starts_s", Float32Array), unpacked(line, "lengths_s", Float32Array)];
}

function drawEvents(place, sorting) {
  const { recording } = sorting;
  const { lines } = recording.events;
  if (!lines.length) return clearPlot(place, "No line has an event during this recording.");
  const lineAt = (row) => lines[lines.length - 1 - Math.floor(row)];
  const number = ({ rising, falling }) => rising || falling;
  plot(place, {
    label: `Timeline of events: ${lines.map((line) => `${line.name} ${counted(number(line), "event")}`).join(", ")}`, bare: true, right: 10,
    x: timeAxis(recording), y: { least: 0, most: lines.length, ticks: lines.map((_, index) => index + 0.5), format: (row) => `${cutName(lineAt(row).name)} (${shown(number(lineAt(row)))})` },
    read: (time, row) => {
      const line = row >= 0 && row < lines.length && time >= 0 && time <= recording.duration_s ? lineAt(row) : null;
      if (!line) return null;
      const all = `${line.name}: ${line.stream} ${line.line}, ${line.kind}\n${shown(line.rising)} rising and ${shown(line.falling)} falling edges${line.outside ? `; ${shown(line.outside)} outside this recording` : ""}`;
      const periods = highPeriods(line);
      if (!periods) return all;
      const [starts, lengths] = periods;
      const slack = recording.duration_s / 300;
      const at = starts.findIndex((start, index) => time >= start - slack && time <= start + lengths[index] + slack);
      return at < 0 ? all : `${all}\nhigh from ${clockTime(starts[at])}, for ${shown(Number(lengths[at].toFixed(3)))} s`;
    },
    draw: (painter) => {
      const { ctx, frame } = painter;
      lines.forEach((line, index) => {
        const row = lines.length - 1 - index;
        const [top, bottom] = [painter.Y(row + 0.82), painter.Y(row + 0.18)];
        const periods = highPeriods(line);
        if (periods) {
          ctx.strokeStyle = colour("grid");
          painter.rule(frame.left, (top + bottom) / 2, frame.right, (top + bottom) / 2);
          ctx.fillStyle = colour("mark");
          const [starts, lengths] = periods;
          starts.forEach((start, at) => ctx.fillRect(painter.X(start), top, Math.max(1, painter.X(start + lengths[at]) - painter.X(start)), bottom - top));
        } else {
          const density = unpacked(line, "density", Uint8Array);
          painter.image(density, 1, density.length, [0, density.length * line.width_s], [row + 0.18, row + 0.82]);
        }
      });
      drawPeriods(painter, recording);
    },
  });
}

// --- the units around the events

const windowAxis = (events) => ({ title: "time from the event (s)", least: events.start_s, most: events.start_s + events.bins * events.width_s });
const whichEvents = ({ line, edge, events, total }) => `${events < total ? `${shown(events)} of ${shown(total)}` : shown(total)} ${edge} edges of ${line}`;
const seconds = (value) => `${shown(Number(value.toFixed(4)))} s`;

// The units of the heat map, from its lowest row on.
function orderResponses(sorting, by, onlyGood) {
  const { peaks } = sorting.units.events;
  const units = sorting.ids.map((_, unit) => unit).filter((unit) => !onlyGood || sorting.verdict[unit] === "good");
  const depth = (unit) => sorting.depth?.[unit] ?? -Infinity;
  return units.sort(by === "depth" ? (a, b) => depth(a) - depth(b) : (a, b) => peaks[b] - peaks[a]);
}

function describeResponses(figure, sorting) {
  const { events } = sorting.units;
  const [controls, caption] = [figure.querySelector(".toggles"), figure.querySelector("figcaption")];
  const place = figure.querySelector(".plot");
  controls.hidden = caption.hidden = "reason" in events;
  place.classList.toggle("line", "reason" in events);
  if ("reason" in events) return;
  const chosen = { by: "peak", good: false };
  const show = () => {
    for (const button of controls.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.order ? chosen.by === button.dataset.order : chosen.good));
    drawResponses(place, sorting, chosen);
  };
  const button = (text, data, change) => element("button", { type: "button", class: "toggle", ...data, onclick: () => { change(); show(); } }, text);
  controls.replaceChildren(
    button("by time of the peak", { "data-order": "peak", "aria-pressed": "true" }, () => { chosen.by = "peak"; }),
    ...(sorting.depth ? [button("by depth", { "data-order": "depth", "aria-pressed": "false" }, () => { chosen.by = "depth"; })] : []),
    ...(sorting.verdict.includes("good") ? [button("good units only", { "aria-pressed": "false" }, () => { chosen.good = !chosen.good; })] : []),
    element("span", { class: "scale" }, `\u2212${shown(events.z_limit)}`, element("span", { class: "bar", "aria-hidden": "true" }), `+${shown(events.z_limit)} standard deviations`));
  figure.querySelector(".remark").textContent = `Around ${whichEvents(events)}, in bins of ${shown(1000 * events.width_s)} ms.`;
}

function drawResponses(place, sorting, { by = "peak", good = false } = {}) {
  const { events } = sorting.units;
  if ("reason" in events) return clearPlot(place, `Not computed: ${events.reason}.`);
  const units = orderResponses(sorting, by, good);
  const { bins } = events;
  const z = (unit) => unpacked(events, "z_hundredths", Int16Array).subarray(unit * bins, (unit + 1) * bins);
  const values = new Uint8ClampedArray(units.length * bins);
  units.forEach((unit, row) => z(unit).forEach((hundredths, bin) => { values[row * bins + bin] = 127.5 * (1 + hundredths / 100 / events.z_limit); }));
  const x = windowAxis(events);
  const unitAt = (time, row) => (time >= x.least && time < x.most ? units[Math.floor(row)] : undefined);
  plot(place, {
    label: `Response of ${counted(units.length, "unit")} to ${whichEvents(events)}, by ${by === "depth" ? "depth" : "time of the peak"}`, bare: true,
    x, y: { title: by === "depth" ? "units, by depth" : "units, by peak", least: 0, most: units.length, ticks: [] },
    read: (time, row) => {
      const unit = unitAt(time, row);
      if (unit === undefined) return null;
      const bin = Math.min(bins - 1, Math.floor((time - x.least) / events.width_s));
      const rate = sorting.eventRates(unit)[bin];
      const depth = sorting.depth && sorting.depth[unit] !== null ? `, depth ${Math.round(sorting.depth[unit])} \u00b5m` : "";
      return `unit ${sorting.ids[unit]}: ${sorting.verdict[unit]}${depth}\n${seconds(x.least + bin * events.width_s)}: ${shown(rate)} Hz, z ${shown(z(unit)[bin] / 100)}`;
    },
    // A click anywhere in a row opens its unit.
    pick: (time, row) => { const unit = unitAt(time, row); return unit === undefined ? null : { unit }; },
    open: ({ unit }) => { location.hash = sorting.link(unit); },
    draw: (painter) => {
      painter.image(values, units.length, bins, [x.least, x.most], [0, units.length], "change");
      painter.vertical(0, "text", "event");
    },
  });
}

// --- on a unit's page

function showAround(holder, sorting, unit) {
  const events = sorting.units.events ?? null;
  holder.hidden = events === null;
  if (events === null) return;
  const note = part("around-note");
  const missing = "reason" in events;
  note.hidden = !missing;
  note.textContent = missing ? `Raster and PSTH: not computed: ${events.reason}.` : "";
  for (const figure of holder.querySelectorAll("figure")) figure.hidden = missing;
  if (missing) return;
  drawRaster(part("raster"), sorting, unit);
  drawPsth(part("psth"), sorting, unit);
}

function drawRaster(place, sorting, unit) {
  const { events } = sorting.units;
  const { rows, lags, step, count } = sorting.raster(unit);
  const most = events.raster.events;
  const drawn = Math.ceil(most / step);
  part("raster-events").textContent = `${shown(drawn)}${drawn < events.events ? ` of ${shown(events.events)}` : ""}`;
  const x = windowAxis(events);
  const length = x.most - x.least;
  const at = (index) => x.least + (length * lags[index]) / 65535;
  plot(place, {
    label: `Raster: ${counted(count, "spike")} around ${counted(drawn, "event")}`, bare: true,
    x, y: { title: "event", least: 0, most, ticks: ticksOf(0, most, 4).map((event) => most - event), format: (value) => shown(most - value) },
    read: (time, row) => (row > 0 && row < most && time > x.least && time < x.most ? `event ${shown(Math.floor(most - row) + 1)} of the ${shown(most)} in the raster, ${seconds(time)}` : null),
    draw: (painter) => {
      const { ctx } = painter;
      const height = Math.max(1.5, (0.8 * step * (painter.frame.bottom - painter.frame.top)) / most);
      ctx.fillStyle = colour("mark");
      for (let index = 0; index < count; index++) ctx.fillRect(painter.X(at(index)) - 1, painter.Y(most - rows[index]), 2, height);
      painter.vertical(0, "bad");
    },
  });
}

function drawPsth(place, sorting, unit) {
  const { events } = sorting.units;
  const rates = sorting.eventRates(unit);
  const x = windowAxis(events);
  const highest = extent(rates)[1];
  const before = rates.subarray(0, events.before).reduce((sum, rate) => sum + rate, 0) / events.before;
  part("psth-events").textContent = whichEvents(events);
  plot(place, {
    label: `PSTH from ${seconds(x.least)} to ${seconds(x.most)}: ${shown(before)} Hz before the event, at most ${shown(highest)} Hz, ${seconds(x.least + (rates.indexOf(highest) + 0.5) * events.width_s)} from it`,
    x, y: { title: "rate (Hz)", least: 0, most: highest * 1.1 || 1 },
    read: (time) => { const bin = Math.floor((time - x.least) / events.width_s); return bin >= 0 && bin < events.bins ? `${seconds(x.least + bin * events.width_s)} to ${seconds(x.least + (bin + 1) * events.width_s)}\n${shown(rates[bin])} Hz` : null; },
    draw: (painter) => {
      painter.bars(rates, x.least, events.width_s, "mark");
      painter.horizontal(before, "quiet", "before the event");
      painter.vertical(0, "bad");
    },
  });
}
