// What every part of the report uses: elements, numbers in words, colours of the style sheet, packed arrays.
"use strict";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function byId(name) {
  return document.getElementById(name);
}

// A value as text: at most four significant digits, and nothing for what is missing.
function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US").replaceAll(",", "\u202f");
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(size >= 1000 ? 5 : 3)));
}

// Units as the files write them, in the page's letters.
function symbol(unit) {
  return { uV: "\u00b5V", um: "\u00b5m" }[unit] ?? unit;
}

function withUnit(value, unit) {
  const text = shown(value);
  return text === "" ? "" : `${text}${unit ? ` ${unit}` : ""}`;
}

// The size of the page's text, which grows with the window.
let size = null;
function textSize() {
  size ??= parseFloat(getComputedStyle(document.documentElement).fontSize);
  return size;
}
addEventListener("resize", () => { size = null; });

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

// Seconds as minutes and hours, for axes and sentences.
function clockTime(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let index = 0; index < letters.length; index++) bytes[index] = letters.charCodeAt(index);
  return bytes;
}

// Numbers that Python packed: little-endian, base64.
function unpack(text, ArrayType) {
  return new ArrayType(bytesOf(text).buffer);
}

// Unpacked once, when it is first drawn.
function unpacked(holder, name, ArrayType) {
  const key = `unpacked ${name}`;
  holder[key] ??= unpack(holder[name], ArrayType);
  return holder[key];
}

// --- colours of the style sheet, as this reader sees them: light-dark() is resolved only on an element.

const swatches = {};
const resolved = new Map();
function colour(name) {
  if (!resolved.has(name)) {
    swatches[name] ??= document.body.appendChild(element("span", { hidden: true, style: `color: var(--${name})` }));
    resolved.set(name, getComputedStyle(swatches[name]).color);
  }
  return resolved.get(name);
}

function channels(name) {
  return colour(name).match(/[\d.]+/g).slice(0, 3).map(Number);
}

// 256 colours. `heat`: from the page's ground over two steps to the strongest one: dark means more on white, bright on black.
// `change`: from the strongest decrease over the ground, which means unchanged, to the strongest increase.
const RAMPS = { heat: ["heat-0", "heat-1", "heat-2", "heat-3"], change: ["less-2", "less-1", "heat-0", "more-1", "more-2"] };
const ramps = new Map();
function ramp(name) {
  if (!ramps.has(name)) {
    const stops = RAMPS[name].map(channels);
    const table = new Uint8ClampedArray(256 * 4);
    for (let index = 0; index < 256; index++) {
      const at = (index / 255) * (stops.length - 1);
      const from = Math.min(Math.floor(at), stops.length - 2);
      for (let part = 0; part < 3; part++) table[4 * index + part] = stops[from][part] + (at - from) * (stops[from + 1][part] - stops[from][part]);
      table[4 * index + 3] = 255;
    }
    ramps.set(name, table);
  }
  return ramps.get(name);
}

function forgetColours() {
  resolved.clear();
  ramps.clear();
}

// --- a value's place among the others

function finite(values) {
  return values.filter((value) => typeof value === "number" && Number.isFinite(value));
}

// Share of the values that are smaller, in percent; equal ones count half.
function percentile(sorted, value) {
  let [below, equal] = [0, 0];
  for (const other of sorted) {
    if (other < value) below += 1;
    else if (other === value) equal += 1;
  }
  return (100 * (below + equal / 2)) / sorted.length;
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
}

function extent(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return least <= most ? [least, most] : [0, 1];
}

// A file that the reader gets, made here: nothing leaves the machine.
function save(text, type, name) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
