// Charts on a canvas: axes, points, lines, bars and images, with a tooltip and a box to drag. All of a unit's charts are
// drawn anew in a few milliseconds, which is why no library is used: one took 0.3 s for nine charts.

const live = new Set();
const tip = { place: null };

function showTip(text, x, y) {
  tip.place ??= document.body.appendChild(element("div", { id: "tip", "aria-hidden": "true" }));
  const { place } = tip;
  // In a modal dialog only what is inside is above the backdrop.
  const holder = document.querySelector("dialog[open]") ?? document.body;
  if (place.parentNode !== holder) holder.append(place);
  place.textContent = text;
  place.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = place;
  place.style.left = `${Math.max(4, Math.min(innerWidth - width - 8, x + 14))}px`;
  place.style.top = `${y + 18 + height > innerHeight ? y - height - 10 : y + 18}px`;
}

function hideTip() {
  if (tip.place) tip.place.hidden = true;
}

// Round values between two ends: steps of 1, 2 or 5 times a power of ten; of time, of minutes and hours.
function ticksOf(least, most, wanted, time) {
  const rough = (most - least) / Math.max(1, wanted);
  const steps = time ? [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000] : [];
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = (time && rough >= 1 && steps.find((size) => size >= rough)) || [1, 2, 5, 10].map((size) => size * power).find((size) => size >= rough * 0.999) || rough || 1;
  const ticks = [];
  for (let index = Math.ceil(least / step - 1e-9); index * step <= most + step * 1e-9; index++) ticks.push(Number((index * step).toPrecision(12)));
  return ticks;
}

// The text of charts grows with the page's.
const chartText = () => Math.round(7.4 * textSize()) / 10;

class Plot {
  // `spec`: label, x and y ({ title, least, most, time, hidden }), draw(painter), points(), pick(x, y) (the point of a place, where not the
  // nearest is meant), read(x, y), select(box), open(point).
  constructor(place, spec) {
    this.place = place;
    this.canvas = element("canvas");
    place.replaceChildren(this.canvas);
    place.setAttribute("role", "img");
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerleave", () => { hideTip(); this.spec.hover?.(null); });
    this.canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    this.canvas.addEventListener("pointerup", (event) => this.released(event));
    this.canvas.addEventListener("pointercancel", () => { this.box = null; this.draw(); });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(place);
    live.add(this);
    this.take(spec);
    // The observer draws it in this frame, when its size is known without another layout.
  }

  take(spec) {
    this.spec = spec;
    this.place.setAttribute("aria-label", spec.label);
  }

  set(spec) {
    this.take(spec);
    this.draw();
  }

  dispose() {
    this.observer.disconnect();
    live.delete(this);
    this.place.replaceChildren();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (!width || !height) return;
    const ratio = Math.min(3, devicePixelRatio || 1);
    const { canvas, spec } = this;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const em = chartText();
    ctx.font = `${em}px system-ui, sans-serif`;
    const { x, y } = spec;
    const yTicks = y.hidden ? [] : y.ticks ?? ticksOf(y.least, y.most, Math.max(2, height / (4 * em)), y.time);
    const texts = yTicks.map((value) => (y.format ?? shown)(value));
    const wide = Math.max(0, ...texts.map((text) => ctx.measureText(text).width));
    const left = y.hidden ? 4 : wide + (y.title ? 2.2 * em : 10);
    const frame = { left, right: width - (spec.right ?? 8), top: spec.top ?? 8, bottom: height - (x.hidden ? 4 : (x.title ? 3 : 1.6) * em), em };
    this.frame = frame;
    const X = (value) => frame.left + ((value - x.least) / (x.most - x.least || 1)) * (frame.right - frame.left);
    const Y = (value) => frame.bottom - ((value - y.least) / (y.most - y.least || 1)) * (frame.bottom - frame.top);
    const painter = new Painter(ctx, X, Y, frame);
    ctx.lineWidth = 1;
    ctx.strokeStyle = colour("grid");
    for (const value of y.hidden || spec.bare ? [] : yTicks) painter.rule(frame.left, Y(value), frame.right, Y(value));
    ctx.save();
    ctx.beginPath();
    ctx.rect(frame.left - 1, frame.top - 1, frame.right - frame.left + 2, frame.bottom - frame.top + 2);
    ctx.clip();
    spec.draw(painter);
    ctx.restore();
    this.axes(ctx, painter, yTicks, texts);
    if (this.box) this.drawBox(ctx);
  }

  axes(ctx, painter, yTicks, texts) {
    const { spec: { x, y }, frame } = this;
    ctx.fillStyle = colour("quiet");
    ctx.strokeStyle = colour("axis");
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    if (!y.hidden) {
      painter.rule(frame.left, frame.top, frame.left, frame.bottom);
      yTicks.forEach((value, index) => ctx.fillText(texts[index], frame.left - 5, Math.min(frame.bottom - 4, Math.max(frame.top + 4, painter.Y(value)))));
      if (y.title) {
        ctx.save();
        ctx.translate(0.8 * frame.em, (frame.top + frame.bottom) / 2);
        ctx.rotate(-Math.PI / 2);
        ctx.textAlign = "center";
        ctx.fillText(y.title, 0, 0);
        ctx.restore();
      }
    }
    if (x.hidden) return;
    painter.rule(frame.left, frame.bottom, frame.right, frame.bottom);
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    const format = x.format ?? (x.time ? clockTime : shown);
    let free = -Infinity;
    for (const value of x.ticks ?? ticksOf(x.least, x.most, (frame.right - frame.left) / ((x.time ? 6.4 : 4.6) * frame.em), x.time)) {
      const [text, at] = [format(value), painter.X(value)];
      const half = ctx.measureText(text).width / 2;
      const middle = Math.min(Math.max(at, half + 1), frame.right + 7 - half);
      if (middle - half < free) continue;
      painter.rule(at, frame.bottom, at, frame.bottom + 3);
      ctx.fillText(text, middle, frame.bottom + 5);
      free = middle + half + 8;
    }
    if (x.title) ctx.fillText(x.title, (frame.left + frame.right) / 2, frame.bottom + 6 + 1.15 * frame.em);
  }

  // --- pointer

  value(event) {
    const { x, y } = this.spec;
    const { frame } = this;
    const place = this.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - place.left, event.clientY - place.top];
    return { px, py, x: x.least + ((px - frame.left) / (frame.right - frame.left)) * (x.most - x.least), y: y.least + ((frame.bottom - py) / (frame.bottom - frame.top)) * (y.most - y.least) };
  }

  nearest({ px, py }) {
    const { spec, frame } = this;
    if (!spec.points) return null;
    const [across, up] = [(frame.right - frame.left) / (spec.x.most - spec.x.least || 1), (frame.bottom - frame.top) / (spec.y.most - spec.y.least || 1)];
    let [best, least] = [null, 14 ** 2];
    for (const point of spec.points()) {
      const distance = (frame.left + (point.x - spec.x.least) * across - px) ** 2 + (frame.bottom - (point.y - spec.y.least) * up - py) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  moved(event) {
    if (!this.frame) return;
    const at = this.value(event);
    const { spec } = this;
    if (this.box) {
      this.box.to = at;
      hideTip();
      return this.draw();
    }
    const point = this.nearest(at) ?? spec.pick?.(at.x, at.y);
    const text = point?.text ?? spec.read?.(at.x, at.y);
    this.canvas.style.cursor = point && spec.open ? "pointer" : spec.select ? "crosshair" : "default";
    spec.hover?.(point);
    if (text) showTip(text, event.clientX, event.clientY);
    else hideTip();
  }

  pressed(event) {
    if (!this.spec.select || event.button !== 0 || event.pointerType === "touch") return;
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.value(event);
    this.box = { from: at, to: at };
  }

  released(event) {
    const at = this.value(event);
    const { box, spec } = this;
    this.box = null;
    if (box && Math.hypot(at.px - box.from.px, at.py - box.from.py) > 6) {
      const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
      spec.select({ x: sorted(box.from.x, at.x), y: sorted(box.from.y, at.y) });
      return this.draw();
    }
    const point = this.nearest(at) ?? spec.pick?.(at.x, at.y);
    if (point) spec.open?.(point);
  }

  drawBox(ctx) {
    const { from, to } = this.box;
    const { frame } = this;
    const whole = this.spec.selects === "x";
    const [top, height] = whole ? [frame.top, frame.bottom - frame.top] : [from.py, to.py - from.py];
    ctx.fillStyle = colour("box");
    ctx.strokeStyle = colour("accent");
    ctx.fillRect(from.px, top, to.px - from.px, height);
    ctx.strokeRect(from.px, top, to.px - from.px, height);
  }
}

// What a chart's `draw` gets: the context, its scales, and the few marks that all charts are made of.
class Painter {
  constructor(ctx, X, Y, frame) {
    Object.assign(this, { ctx, X, Y, frame });
  }

  rule(x1, y1, x2, y2) {
    const { ctx } = this;
    const crisp = (value) => Math.round(value) + 0.5;
    ctx.beginPath();
    ctx.moveTo(x1 === x2 ? crisp(x1) : x1, y1 === y2 ? crisp(y1) : y1);
    ctx.lineTo(x1 === x2 ? crisp(x2) : x2, y1 === y2 ? crisp(y2) : y2);
    ctx.stroke();
  }

  line(count, x, y, name, width = 1.5) {
    const { ctx } = this;
    ctx.strokeStyle = colour(name);
    ctx.lineWidth = width;
    ctx.lineJoin = "round";
    ctx.beginPath();
    let pen = false;
    for (let index = 0; index < count; index++) {
      const value = y(index);
      // A value that is missing leaves a gap.
      if (value === null || Number.isNaN(value)) { pen = false; continue; }
      if (pen) ctx.lineTo(this.X(x(index)), this.Y(value));
      else ctx.moveTo(this.X(x(index)), this.Y(value));
      pen = true;
    }
    ctx.stroke();
    ctx.lineWidth = 1;
  }

  band(count, x, low, high, name) {
    const { ctx } = this;
    ctx.fillStyle = colour(name);
    ctx.beginPath();
    for (let index = 0; index < count; index++) ctx.lineTo(this.X(x(index)), this.Y(high(index)));
    for (let index = count - 1; index >= 0; index--) ctx.lineTo(this.X(x(index)), this.Y(low(index)));
    ctx.fill();
  }

  bars(values, start, width, name) {
    const { ctx } = this;
    ctx.fillStyle = colour(name);
    const base = this.Y(0);
    for (let index = 0; index < values.length; index++) {
      const [from, to] = [this.X(start + width * index), this.X(start + width * (index + 1))];
      ctx.fillRect(from, this.Y(values[index]), Math.max(1, to - from - (to - from > 4 ? 0.5 : 0)), base - this.Y(values[index]));
    }
  }

  sideBars(values, start, width, name) {
    const { ctx } = this;
    ctx.fillStyle = colour(name);
    for (let index = 0; index < values.length; index++) {
      const [from, to] = [this.Y(start + width * (index + 1)), this.Y(start + width * index)];
      ctx.fillRect(this.X(0), from, this.X(values[index]) - this.X(0), Math.max(1, to - from - (to - from > 4 ? 0.5 : 0)));
    }
  }

  vertical(value, name, text, dash = [4, 3]) {
    const { ctx, frame } = this;
    ctx.strokeStyle = colour(name);
    ctx.setLineDash(dash);
    this.rule(this.X(value), frame.top, this.X(value), frame.bottom);
    ctx.setLineDash([]);
    const near = this.X(value) > frame.right - 4 * frame.em;
    if (text) this.halo(text, this.X(value) + (near ? -4 : 4), frame.top + 6, name, near ? "right" : "left");
  }

  horizontal(value, name, text, dash = [4, 3]) {
    const { ctx, frame } = this;
    ctx.strokeStyle = colour(name);
    ctx.setLineDash(dash);
    this.rule(frame.left, this.Y(value), frame.right, this.Y(value));
    ctx.setLineDash([]);
    if (text) this.halo(text, frame.right - 4, this.Y(value) - 8, name, "right");
  }

  text(text, x, y, name, align) {
    const { ctx } = this;
    ctx.fillStyle = colour(name);
    ctx.textAlign = align;
    ctx.textBaseline = "middle";
    ctx.fillText(text, x, y);
  }

  // Text over lines: the ground's colour around it keeps it readable.
  halo(text, x, y, name, align) {
    const { ctx } = this;
    ctx.save();
    ctx.textAlign = align;
    ctx.textBaseline = "middle";
    ctx.lineJoin = "round";
    ctx.lineWidth = 4;
    ctx.strokeStyle = colour("page");
    ctx.strokeText(text, x, y);
    ctx.restore();
    this.text(text, x, y, name, align);
  }

  // A filled circle is good, a cross bad, an open triangle undetermined: shape and colour say the same.
  mark(x, y, size, label, strength = 1) {
    const { ctx } = this;
    ctx.globalAlpha = strength;
    ctx.fillStyle = ctx.strokeStyle = colour(label);
    ctx.lineWidth = 1.4;
    ctx.beginPath();
    if (label === "bad") {
      const arm = size * 0.8;
      ctx.moveTo(x - arm, y - arm); ctx.lineTo(x + arm, y + arm);
      ctx.moveTo(x - arm, y + arm); ctx.lineTo(x + arm, y - arm);
      ctx.stroke();
    } else if (label === "undetermined") {
      ctx.moveTo(x, y - size * 1.1); ctx.lineTo(x + size, y + size * 0.8); ctx.lineTo(x - size, y + size * 0.8);
      ctx.closePath();
      ctx.stroke();
    } else {
      ctx.arc(x, y, size, 0, 7);
      if (label === "good") ctx.fill();
      else ctx.stroke();
    }
    ctx.globalAlpha = 1;
    ctx.lineWidth = 1;
  }

  ring(x, y, size, name) {
    const { ctx } = this;
    ctx.strokeStyle = colour(name);
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.arc(x, y, size, 0, 7);
    ctx.stroke();
    ctx.lineWidth = 1;
  }

  // An image of rows (the first is the lowest) and columns of values from 0 to 255, in the colours of a ramp.
  image(values, rows, columns, [x1, x2], [y1, y2], colours = "heat") {
    const { ctx } = this;
    const picture = heatImage(values, rows, columns, colours);
    const [left, right, top, bottom] = [this.X(x1), this.X(x2), this.Y(y2), this.Y(y1)];
    // Smoothing blends what is made smaller; what is made larger keeps its edges.
    ctx.imageSmoothingEnabled = (right - left) * devicePixelRatio < columns || (bottom - top) * devicePixelRatio < rows;
    ctx.drawImage(picture, left, top, right - left, bottom - top);
  }
}

function heatImage(values, rows, columns, colours) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(columns, rows);
  const table = new Uint32Array(ramp(colours).buffer);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row++) {
    const to = (rows - 1 - row) * columns;
    for (let column = 0; column < columns; column++) pixels[to + column] = table[values[row * columns + column]];
  }
  ctx.putImageData(image, 0, 0);
  return canvas;
}

// One chart per place: made when it comes into view, then only drawn anew.
const plots = new WeakMap();
function plot(place, spec) {
  const existing = plots.get(place);
  if (existing && live.has(existing)) existing.set(spec);
  else plots.set(place, new Plot(place, spec));
}

function clearPlot(place, text) {
  const existing = plots.get(place);
  if (existing) { existing.dispose(); plots.delete(place); }
  place.removeAttribute("role");
  place.removeAttribute("aria-label");
  place.replaceChildren(element("p", { class: "quiet" }, text));
}

const whenSeen = new WeakMap();
const seeing = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seeing.unobserve(target);
    whenSeen.get(target)?.();
    whenSeen.delete(target);
  }
}, { rootMargin: "300px" });

// Do it when the place comes near the view, or before printing.
const waiting = new Set();
function near(place, action) {
  const once = () => { waiting.delete(once); action(); };
  waiting.add(once);
  whenSeen.set(place, once);
  seeing.observe(place);
}

function redrawAll() {
  forgetColours();
  for (const one of live) one.draw();
}
const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", redrawAll);
