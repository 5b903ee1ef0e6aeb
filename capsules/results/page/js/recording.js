// What a recording looked like over time and depth, whether or not its units were sorted.

// Gaps, saturation and artefacts: lines and bands over a chart of time.
function drawPeriods(painter, recording) {
  const { ctx, frame } = painter;
  for (const { kind, start_s: start, end_s: end } of recording?.periods ?? []) {
    ctx.fillStyle = ctx.strokeStyle = colour(`period-${kind}`);
    ctx.globalAlpha = 0.55;
    ctx.fillRect(painter.X(start), frame.top, Math.max(1.5, painter.X(end) - painter.X(start)), frame.bottom - frame.top);
    ctx.globalAlpha = 1;
  }
}

const timeAxis = (recording) => ({ title: "time (h:min:s)", least: 0, most: recording.duration_s, time: true });

function motionLines(recording) {
  const { motion } = recording;
  if (!motion) return null;
  const values = unpacked(motion, "displacement_um", Float32Array);
  return { times: motion.times_s, depths: motion.depths_um, error: motion.error_um, at: (time, depth) => values[time * motion.depths_um.length + depth] };
}

// At most `most` of `count` places, evenly spread, not at the ends.
function spread(count, most) {
  const wanted = Math.min(count, most);
  return Array.from({ length: wanted }, (_, index) => Math.floor(((index + 0.5) * count) / wanted));
}

function drawDriftMap(place, sorting, small = false) {
  const { recording } = sorting;
  const drift = recording?.drift;
  if (!drift) return clearPlot(place, "No activity map: this recording has no peaks.");
  const [rows, columns] = drift.shape;
  const values = unpacked(drift, "counts", Uint8Array);
  const [low, high] = [drift.lowest_um, drift.lowest_um + rows * drift.height_um];
  const motion = motionLines(recording);
  plot(place, {
    label: `Drift map: activity by depth over time${motion ? ", with the estimated motion" : ""}`, bare: true,
    x: small ? { least: 0, most: recording.duration_s, time: true } : timeAxis(recording), y: { title: small ? null : "depth (\u00b5m)", least: low, most: high },
    read: small ? null : (time, depth) => {
      const shift = motion ? `\nmotion ${shown(Number(motionAt(motion, time, depth).toFixed(1)))} \u00b5m` : "";
      return time >= 0 && time <= recording.duration_s && depth >= low && depth <= high ? `${clockTime(time)}, depth ${Math.round(depth)} \u00b5m${shift}` : null;
    },
    draw: (painter) => {
      painter.image(values, rows, columns, [drift.start_s, drift.start_s + columns * drift.width_s], [low, high]);
      if (!small) drawPeriods(painter, recording);
      if (motion) for (const index of spread(motion.depths.length, small ? 3 : 5)) painter.line(motion.times.length, (time) => motion.times[time], (time) => motion.depths[index] + motion.at(time, index), "motion", small ? 1.2 : 1.6);
      if (!small && sorting.depth) for (const depth of sorting.depth) if (depth !== null) { painter.ctx.strokeStyle = colour("accent"); painter.rule(painter.frame.right - 6, painter.Y(depth), painter.frame.right, painter.Y(depth)); }
    },
  });
}

function motionAt({ times, depths, at }, time, depth) {
  const nearest = (values, value) => values.reduce((best, other, index) => (Math.abs(other - value) < Math.abs(values[best] - value) ? index : best), 0);
  return at(nearest(times, time), nearest(depths, depth));
}

function drawMotion(place, sorting) {
  const { recording } = sorting;
  const motion = recording && motionLines(recording);
  if (!motion) return clearPlot(place, "Motion was not estimated.");
  const lines = motion.depths.map((depth, index) => ({ depth, index, error: motion.error?.[index] ?? 0 }));
  const all = lines.flatMap(({ index, error }) => motion.times.flatMap((_, time) => [motion.at(time, index) - error, motion.at(time, index) + error]));
  const [low, high] = extent(all);
  // At least the distance of two contacts, so that a still probe looks still.
  const half = Math.max(20, (high - low) * 0.55);
  const middle = (low + high) / 2;
  plot(place, {
    label: "Estimated motion over time, with its uncertainty", x: timeAxis(recording), y: { title: "displacement (\u00b5m)", least: middle - half, most: middle + half },
    read: (time) => (time >= 0 && time <= recording.duration_s ? [clockTime(time), ...lines.slice(0, 6).map(({ depth }) => `depth ${Math.round(depth)} \u00b5m: ${motionAt(motion, time, depth).toFixed(1)} \u00b5m`)].join("\n") : null),
    draw: (painter) => {
      const x = (time) => motion.times[time];
      if (motion.error) for (const { index, error } of lines) painter.band(motion.times.length, x, (time) => motion.at(time, index) - error, (time) => motion.at(time, index) + error, "shade");
      lines.forEach(({ index }) => painter.line(motion.times.length, x, (time) => motion.at(time, index), "accent", 1.5));
      const last = motion.times.length - 1;
      if (lines.length > 1 && lines.length <= 8) for (const { depth, index } of lines) painter.halo(`${Math.round(depth)} \u00b5m`, painter.frame.right - 4, painter.Y(motion.at(last, index)) - 2, "text", "right");
    },
  });
}

function drawPopulation(place, sorting) {
  const rates = sorting.units?.rates;
  if (!rates) return clearPlot(place, "No units: firing rates were not computed.");
  const sums = { all: new Float32Array(rates.bins), good: new Float32Array(rates.bins) };
  for (let unit = 0; unit < sorting.count; unit++) {
    const own = sorting.rates(unit);
    for (let bin = 0; bin < rates.bins; bin++) {
      sums.all[bin] += own[bin];
      if (sorting.verdict[unit] === "good") sums.good[bin] += own[bin];
    }
  }
  const x = (bin) => rates.start_s + (bin + 0.5) * rates.width_s;
  plot(place, {
    label: "Population rate over time: all units and good units", x: timeAxis(sorting.recording ?? { duration_s: sorting.duration }), y: { title: "rate (Hz)", least: 0, most: extent(sums.all)[1] * 1.12 || 1 },
    read: (time) => { const bin = Math.floor((time - rates.start_s) / rates.width_s); return bin >= 0 && bin < rates.bins ? `${clockTime(x(bin))}\nall units ${shown(sums.all[bin])} Hz\ngood units ${shown(sums.good[bin])} Hz` : null; },
    draw: (painter) => {
      drawPeriods(painter, sorting.recording);
      painter.line(rates.bins, x, (bin) => sums.all[bin], "quiet");
      painter.line(rates.bins, x, (bin) => sums.good[bin], "good", 2);
    },
  });
}

const PERIODS = { saturation: "saturation", artifact: "artefact", gap: "gap" };

// Where there are too many to be shown, an entry is several: `count`.
function periodsOf(recording, kind) {
  return recording.periods.filter((period) => period.kind === kind).reduce((sum, { count }) => sum + (count ?? 1), 0);
}

function drawTimeline(place, sorting) {
  const { recording } = sorting;
  const kinds = Object.keys(PERIODS);
  plot(place, {
    label: `Timeline: ${kinds.map((kind) => counted(periodsOf(recording, kind), PERIODS[kind])).join(", ")}`, bare: true, right: 10,
    x: timeAxis(recording), y: { least: 0, most: kinds.length, ticks: kinds.map((_, index) => index + 0.5), format: (value) => `${PERIODS[kinds[Math.floor(value)]]} (${periodsOf(recording, kinds[Math.floor(value)])})` },
    read: (time, row) => {
      const kind = kinds[Math.floor(row)];
      const slack = recording.duration_s / 200;
      const period = recording.periods.find((one) => one.kind === kind && time >= one.start_s - slack && time <= one.end_s + slack);
      // The traces continue after a gap, so on their axis it has no length.
      return period ? `${period.count > 1 ? `${period.count} periods of ` : ""}${PERIODS[kind]}: ${clockTime(period.start_s)}, ${shown(Number((period.missing_s ?? period.end_s - period.start_s).toFixed(3)))} s` : null;
    },
    draw: (painter) => {
      const { ctx } = painter;
      kinds.forEach((kind, index) => {
        ctx.strokeStyle = colour("grid");
        painter.rule(painter.frame.left, painter.Y(index + 0.5), painter.frame.right, painter.Y(index + 0.5));
        ctx.fillStyle = colour(`period-${kind}`);
        for (const period of recording.periods) if (period.kind === kind) ctx.fillRect(painter.X(period.start_s), painter.Y(index + 0.85), Math.max(2, painter.X(period.end_s) - painter.X(period.start_s)), painter.Y(index + 0.15) - painter.Y(index + 0.85));
      });
    },
  });
}

const BAND_COLOURS = ["series-1", "series-2", "series-3", "series-4", "quiet"];
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3]];

function drawLfp(place, sorting) {
  const lfp = sorting.recording?.lfp;
  if (!lfp) return clearPlot(place, "LFP power was not computed.");
  const bands = Object.entries(lfp.bands);
  const [low, high] = extent(bands.flatMap(([, values]) => finite(values)));
  const [bottom, top] = extent(lfp.depths_um);
  plot(place, {
    label: `LFP power by depth in ${counted(bands.length, "band")}${lfp.surface_um === null ? "" : `; estimated brain surface at ${Math.round(lfp.surface_um)} \u00b5m`}`, right: 12,
    x: { title: lfp.physical_unit ? `power (dB re 1 ${symbol(lfp.physical_unit)}\u00b2/Hz)` : "power (dB)", least: low - 2, most: high + 2 }, y: { title: "depth (\u00b5m)", least: bottom, most: top },
    read: (_, depth) => {
      const nearest = lfp.depths_um.reduce((best, value, index) => (Math.abs(value - depth) < Math.abs(lfp.depths_um[best] - depth) ? index : best), 0);
      return [`depth ${shown(lfp.depths_um[nearest])} \u00b5m`, ...bands.map(([name, values]) => `${name}: ${shown(values[nearest])} dB`)].join("\n");
    },
    draw: (painter) => {
      bands.forEach(([name, values], index) => {
        const paint = BAND_COLOURS[index % BAND_COLOURS.length];
        painter.ctx.setLineDash(DASHES[index % DASHES.length]);
        painter.line(values.length, (at) => values[at], (at) => lfp.depths_um[at], paint, 1.8);
        painter.ctx.setLineDash([]);
        const middle = Math.floor(values.length * (0.3 + 0.08 * index));
        painter.halo(name.split(" ")[0], painter.X(values[middle]) + 6, painter.Y(lfp.depths_um[middle]), paint, "left");
      });
      if (lfp.surface_um !== null) painter.horizontal(lfp.surface_um, "text", "estimated surface");
    },
  });
}

function drawNoise(place, sorting) {
  const noise = sorting.recording?.channels_noise;
  if (!noise) return clearPlot(place, "Noise was not computed.");
  const kinds = [["raw_uv", "quiet"], ["preprocessed_uv", "accent"]].filter(([name]) => noise[name]);
  const unit = symbol(noise.physical_unit);
  const sorted = kinds.flatMap(([name]) => finite(noise[name])).sort((a, b) => a - b);
  // A dead or noisy channel is drawn at the edge: the others stay apart.
  const most = sorted.length ? Math.max(1e-9, quantile(sorted, 0.98) * 1.3) : 1;
  const [bottom, top] = extent(noise.depth_um);
  plot(place, {
    label: "Noise of each channel by depth, raw and preprocessed", x: { title: `noise (${unit})`, least: 0, most }, y: { title: "depth (\u00b5m)", least: bottom, most: top },
    points: () => kinds.flatMap(([name]) => noise[name].map((value, index) => ({ x: Math.min(value, most), y: noise.depth_um[index], missing: value === null, text: `${name === "raw_uv" ? "raw" : "preprocessed"}: ${shown(value)} ${unit}\ndepth ${shown(noise.depth_um[index])} \u00b5m` }))).filter(({ missing }) => !missing),
    draw: (painter) => {
      for (const [name, paint] of kinds) {
        const { ctx } = painter;
        ctx.fillStyle = ctx.strokeStyle = colour(paint);
        noise[name].forEach((value, index) => {
          if (value === null) return;
          const [px, py] = [painter.X(Math.min(value, most)), painter.Y(noise.depth_um[index])];
          if (name === "raw_uv") ctx.strokeRect(px - 1.5, py - 1.5, 3, 3);
          else ctx.fillRect(px - 1.5, py - 1.5, 3, 3);
        });
      }
    },
  });
}

const PANELS = { drift: drawDriftMap, motion: drawMotion, population: drawPopulation, timeline: drawTimeline, events: drawEvents, responses: drawResponses, lfp: drawLfp, noise: drawNoise };

// A panel of which a recording has no data does not appear.
function hasPanel(name, { recording, units }) {
  return { drift: recording?.drift, motion: recording?.motion, population: units?.rates, timeline: recording?.periods?.length, events: recording?.events, responses: units?.events, lfp: recording?.lfp, noise: recording?.channels_noise }[name];
}

function showPanels(place, sorting) {
  for (const figure of place.querySelectorAll("[data-panel]")) {
    const { panel } = figure.dataset;
    figure.hidden = !hasPanel(panel, sorting);
    if (figure.hidden) continue;
    if (panel === "lfp") lfpLegend(figure, sorting.recording.lfp);
    if (panel === "events") describeEvents(figure, sorting.recording.events);
    if (panel === "responses") describeResponses(figure, sorting);
    near(figure.querySelector(".plot"), () => PANELS[panel](figure.querySelector(".plot"), sorting));
  }
  place.hidden = [...place.querySelectorAll("[data-panel]")].every(({ hidden }) => hidden);
}

function lfpLegend(figure, lfp) {
  const names = Object.keys(lfp.bands).map((name, index) => element("li", { style: `color: var(--${BAND_COLOURS[index % BAND_COLOURS.length]})` }, name));
  figure.querySelector(".legend").replaceChildren(...names);
  figure.querySelector(".remark").textContent = `${capital(lfp.surface_reason)}. Source: ${lfp.source}.`;
}
