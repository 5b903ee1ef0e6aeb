// The top of the report: the cards' small charts, the comparison of recordings, the agreement of sorters.

function drawCard(card, sorting) {
  const [drift, depths] = card.querySelectorAll(".plot");
  near(card, () => {
    drawDriftMap(drift, sorting, true);
    drawCardDepths(depths, sorting);
  });
}

function drawCardDepths(place, sorting) {
  if (!sorting.units || !sorting.depth || !sorting.amplitude) return clearPlot(place, "No units.");
  const [low, high] = extent([...(sorting.probe?.y ?? []), ...sorting.depth.filter((value) => value !== null)]);
  const points = sorting.ids.map((id, unit) => ({ x: sorting.amplitude[unit], y: sorting.depth[unit], unit, text: `unit ${id}: ${sorting.verdict[unit]}\ndepth ${shown(sorting.depth[unit])} \u00b5m, amplitude ${shown(sorting.amplitude[unit])} ${sorting.physicalUnit}` })).filter(({ x, y }) => x !== null && y !== null);
  plot(place, {
    label: `Depth over amplitude of ${counted(sorting.count, "unit")}`, x: { title: `amplitude (${sorting.physicalUnit})`, least: 0, most: Math.max(...points.map(({ x }) => x), 1) * 1.05 }, y: { least: low, most: high },
    points: () => points, open: ({ unit }) => { location.hash = sorting.link(unit); },
    draw: (painter) => { for (const { x, y, unit } of points) painter.mark(painter.X(x), painter.Y(y), 2.3, sorting.verdict[unit], 0.75); },
  });
}

// Firing by depth of each recording, on one scale.
function drawComparison(places, sortings) {
  const withUnits = sortings.filter(({ units, depth }) => units?.rates && depth);
  if (!withUnits.length) return;
  const depths = extent(withUnits.flatMap((sorting) => [...(sorting.probe?.y ?? []), ...sorting.depth.filter((value) => value !== null)]));
  const rows = 40;
  const height = (depths[1] - depths[0] || 1) / rows;
  const profiles = withUnits.map((sorting) => {
    const hz = { all: new Float64Array(rows), good: new Float64Array(rows) };
    for (let unit = 0; unit < sorting.count; unit++) {
      if (sorting.depth[unit] === null) continue;
      const row = Math.min(rows - 1, Math.floor((sorting.depth[unit] - depths[0]) / height));
      const rate = sorting.rate?.[unit] ?? 0;
      hz.all[row] += rate;
      if (sorting.verdict[unit] === "good") hz.good[row] += rate;
    }
    return hz;
  });
  const most = Math.max(...profiles.flatMap(({ all }) => [...all])) * 1.05 || 1;
  for (const place of places) {
    const at = withUnits.findIndex(({ id }) => id === place.dataset.profile);
    if (at < 0) { clearPlot(place, "No units."); continue; }
    plot(place, {
      label: `Summed firing rate by depth of ${withUnits[at].id}: all units and good units`, x: { title: "rate (Hz)", least: 0, most }, y: { title: "depth (\u00b5m)", least: depths[0], most: depths[1] },
      read: (_, depth) => { const row = Math.floor((depth - depths[0]) / height); return row >= 0 && row < rows ? `depth ${Math.round(depths[0] + row * height)} to ${Math.round(depths[0] + (row + 1) * height)} \u00b5m\nall units ${shown(profiles[at].all[row])} Hz\ngood units ${shown(profiles[at].good[row])} Hz` : null; },
      draw: (painter) => { painter.sideBars(profiles[at].all, depths[0], height, "faint"); painter.sideBars(profiles[at].good, depths[0], height, "good"); },
    });
  }
}

// Units of two sorters as a matrix, darker is more agreement. Units with a match come first, in one order, so that they
// form a diagonal; what is off it is a unit that one sorter split or merged.
function drawAgreement(place, pair) {
  const listed = (pair.agreements ?? pair.matches).map(({ units: [a, b], agreement }) => ({ a, b, agreement }));
  if (!listed.length) return clearPlot(place, "No unit of one sorter agrees with one of the other.");
  const orderOf = (position) => new Map([...new Set([...pair.matches.map(({ units }) => units[position]), ...listed.map(({ a, b }) => [a, b][position])])].map((id, index) => [id, index]));
  const [rows, columns] = [orderOf(0), orderOf(1)];
  const values = new Uint8Array(rows.size * columns.size);
  for (const { a, b, agreement } of listed) values[rows.get(a) * columns.size + columns.get(b)] = Math.round(255 * agreement);
  plot(place, {
    label: `Agreement of the units of ${pair.sorters.join(" and ")}`, bare: true,
    x: { title: `units of ${pair.sorters[1]}`, least: 0, most: columns.size, ticks: [] }, y: { title: `units of ${pair.sorters[0]}`, least: 0, most: rows.size, ticks: [] },
    points: () => listed.map(({ a, b, agreement }) => ({ x: columns.get(b) + 0.5, y: rows.get(a) + 0.5, text: `${pair.sorters[0]} ${a}, ${pair.sorters[1]} ${b}\nagreement ${shown(agreement)}` })),
    draw: (painter) => painter.image(values, rows.size, columns.size, [0, columns.size], [0, rows.size]),
  });
}

// The other sorters' units that agree best with a unit: { sorter, unit, agreement }.
function agreeing(sorting, unit) {
  const [recording, sorter] = run.sorters[sorting.id];
  const pairs = (run.agreement[recording]?.pairs ?? []).filter(({ sorters }) => sorters.includes(sorter));
  return pairs.map(({ sorters, agreements, matches }) => {
    const own = sorters.indexOf(sorter);
    const of = (agreements ?? matches).filter(({ units }) => units[own] === sorting.ids[unit]);
    const best = of.reduce((most, one) => (most && most.agreement >= one.agreement ? most : one), null);
    return { sorter: sorters[1 - own], unit: best?.units[1 - own] ?? null, agreement: best?.agreement ?? 0 };
  });
}
