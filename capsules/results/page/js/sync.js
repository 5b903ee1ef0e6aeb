// Synchronisation: how far the pulses of a stream are from its map to the reference clock.

const ONE_SAMPLE_US = 1e6 / 30000;

function drawResiduals(place) {
  const { residuals: block, stream } = place.dataset;
  const points = run.sync[block][stream];
  const [first, last] = extent(points.map(([time]) => time));
  // At least one sample, so that a good fit looks flat.
  const most = Math.max(1.2 * ONE_SAMPLE_US, 1.1 * Math.max(...points.map(([, residual]) => Math.abs(residual))));
  plot(place, {
    label: `Residuals of ${counted(points.length, "pulse")} of ${stream} over time, at most ${shown(Math.max(...points.map(([, residual]) => Math.abs(residual))))} \u00b5s`,
    x: { title: "time (h:min:s)", least: first, most: last > first ? last : first + 1, time: true }, y: { title: "residual (\u00b5s)", least: -most, most },
    points: () => points.map(([time, residual]) => ({ x: time, y: residual, text: `${clockTime(time)}: ${shown(residual)} \u00b5s` })),
    draw: (painter) => {
      painter.ctx.strokeStyle = colour("axis");
      painter.rule(painter.frame.left, painter.Y(0), painter.frame.right, painter.Y(0));
      for (const [time, residual] of points) painter.mark(painter.X(time), painter.Y(residual), 1.8, "mark", 0.7);
    },
  });
}
