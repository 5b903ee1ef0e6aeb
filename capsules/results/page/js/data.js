// The content of the page: inflated once, then seen through views that copy nothing.

// Agreement of the sorters, and each sorting's recording and sorter.
const run = JSON.parse(byId("run").textContent);
const LABELS = ["good", "undetermined", "bad"];
// Shape and colour say the same, so that neither is needed alone.
const GLYPHS = { good: "\u25cf", bad: "\u2715", undetermined: "\u25b3", none: "\u25cb" };
const MAIN_METRICS = ["num_spikes", "firing_rate", "snr", "isi_violations_ratio", "presence_ratio", "amplitude_cutoff", "amplitude_median"];

async function inflate(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const NO_SETTINGS = { undefined_metric: "leave_out", min_spikes: 50, leave_out: [] };

const missingRow = (values) => values ?? null;

class Sorting {
  constructor(id, index, content) {
    Object.assign(this, { id, index, probe: content.probe, recording: content.recording ?? null, units: content.units ?? null, settings: content.settings ?? NO_SETTINGS });
    if (!this.units) return;
    const { ids, metrics, labels, places } = this.units;
    this.count = ids.length;
    this.ids = ids;
    this.indexOf = new Map(ids.map((unit, at) => [unit, at]));
    this.depth = missingRow(places?.y);
    this.x = missingRow(places?.x);
    this.rate = metrics.firing_rate ?? null;
    this.spikes = metrics.num_spikes ?? null;
    this.verdict = labels.default_qc ?? ids.map(() => "none");
    this.suspicious = ids.map((_, unit) => String(labels.suspicious?.[unit]).toLowerCase() === "true");
    this.info = Object.fromEntries(Object.entries(this.units.metric_info ?? {}).map(([name, info]) => [name, { ...info, unit: symbol(info.unit) }]));
    this.amplitude = metrics.amplitude_median?.map((value) => (value === null ? null : Math.abs(value))) ?? this.largest();
    this.merges = ids.map(() => []);
    for (const merge of this.units.merges ?? []) for (const unit of merge.units) this.merges[unit]?.push(merge);
  }

  get physicalUnit() {
    return symbol(this.units.amplitudes?.unit ?? this.units.waveforms?.unit ?? "uV");
  }

  largest() {
    return this.units.waveforms?.scale.map((scale) => scale * 1000) ?? null;
  }

  row(part, name, bins, unit, ArrayType = Float32Array) {
    const holder = this.units[part];
    return holder ? unpacked(holder, name, ArrayType).subarray(unit * bins, (unit + 1) * bins) : null;
  }

  autocorrelogram(unit) {
    return this.row("correlograms", "rates_hz", this.units.correlograms?.bins, unit);
  }

  rates(unit) {
    return this.row("rates", "hz", this.units.rates?.bins, unit);
  }

  depths(unit) {
    return this.row("depths", "um", this.units.depths?.bins, unit);
  }

  // The mean (kind 0) or the standard deviation (kind 1) at a sample of one of the shown channels, in physical units.
  waveform(unit) {
    const { waveforms } = this.units;
    if (!waveforms) return null;
    const [, samples, count] = waveforms.shape;
    const values = unpacked(waveforms, "values", Int16Array).subarray(unit * 2 * samples * count, (unit + 1) * 2 * samples * count);
    const scale = waveforms.scale[unit];
    return { samples, count, channels: waveforms.channels[unit], at: (kind, sample, channel) => scale * values[(kind * samples + sample) * count + channel] };
  }

  amplitudePoints(unit) {
    const { amplitudes } = this.units;
    if (!amplitudes) return null;
    const first = amplitudes.counts.slice(0, unit).reduce((sum, value) => sum + value, 0);
    const of = (name) => unpacked(amplitudes, name, Float32Array).subarray(first, first + amplitudes.counts[unit]);
    return { times: of("times_s"), values: of("values") };
  }

  amplitudeDensity(unit) {
    const density = this.units.amplitudes?.density;
    if (!density) return null;
    const [rows, columns] = density.shape;
    const values = unpacked(density, "values", Uint8Array).subarray(unit * rows * columns, (unit + 1) * rows * columns);
    return { rows, columns, values, lowest: density.lowest[unit], highest: density.highest[unit], start: density.start_s, width: density.width_s };
  }

  // Mean rate in each bin around the events, and the spikes of the raster.
  eventRates(unit) {
    return this.row("events", "rates_hz", this.units.events.bins, unit);
  }

  raster(unit) {
    const { raster } = this.units.events;
    const first = raster.counts.slice(0, unit).reduce((sum, value) => sum + value, 0);
    const of = (name, ArrayType) => unpacked(raster, name, ArrayType).subarray(first, first + raster.counts[unit]);
    return { rows: of("rows", Uint8Array), lags: of("lags", Uint16Array), step: raster.steps[unit], count: raster.counts[unit] };
  }

  // Cross-correlogram of two units, seen from the first: its own spikes are at lag 0.
  crossCorrelogram(unit, other) {
    const { pairs } = this.units;
    if (!pairs) return null;
    this.pairOf ??= new Map(pairs.index.map(([a, b], at) => [`${a} ${b}`, at]));
    const at = this.pairOf.get(`${Math.min(unit, other)} ${Math.max(unit, other)}`);
    if (at === undefined) return null;
    const counts = unpacked(pairs, "counts", Uint16Array).slice(at * pairs.bins, (at + 1) * pairs.bins);
    return unit < other ? counts : counts.reverse();
  }

  link(unit) {
    return `#unit/${encodeURIComponent(this.id)}/${encodeURIComponent(this.ids[unit])}`;
  }

  // Metrics in the order of their use: the main ones first.
  metricNames() {
    const names = Object.keys(this.units.metrics);
    return [...MAIN_METRICS.filter((name) => names.includes(name)), ...names.filter((name) => !MAIN_METRICS.includes(name))];
  }

  metricTitle(name) {
    const { meaning, unit } = this.info[name] ?? {};
    return `${meaning ? `${name}: ${meaning}` : name}${unit ? ` (${unit})` : ""}`;
  }

  get duration() {
    return this.recording?.duration_s ?? (this.units?.rates ? this.units.rates.bins * this.units.rates.width_s : 1);
  }
}
