// The flat panes: spikes, channels, velocities, touch, stimulation.

import { fit, theme } from "./theme.js";

const BINS = 512; // kept: ten seconds at 20 ms
const ROWS = 256; // of the raster at most; more channels share rows
const GAP = 4; // a bin that was not sent to this page

export class Raster {
  constructor(canvas, hello) {
    this.canvas = canvas;
    this.features = hello.features;
    this.stride = Math.ceil(hello.features / 4);
    this.fold = Math.ceil(hello.features / ROWS);
    this.rows = Math.ceil(hello.features / this.fold);
    this.level = new Uint8Array(BINS * this.features).fill(GAP);
    this.order = Uint16Array.from({ length: this.features }, (_, i) => i);
    this.seen = 0; // bins, gaps included
    this.last = -1;
    this.image = new OffscreenCanvas(BINS, this.rows);
    this.paint = this.image.getContext("2d");
    this.column = this.paint.createImageData(1, this.rows);
    this.missing = new Float32Array(this.features);
    this.rate = new Float32Array(this.features);
    this.counted = 0;
    this.drawn = 0;
    this.stale = true;
  }

  add(frame) {
    const first = frame.bin - frame.n;
    if (this.last >= 0) {
      for (let i = Math.max(this.last, first - BINS); i < first; i++) { this.row(this.seen++).fill(GAP); }
    }
    for (let i = 0; i < frame.n; i++) this.unpack(frame.raster.subarray(i * this.stride, (i + 1) * this.stride));
    this.last = frame.bin;
  }

  row(index) {
    const at = (index % BINS) * this.features;
    return this.level.subarray(at, at + this.features);
  }

  unpack(bytes) {
    const row = this.row(this.seen++), pace = Math.max(0.02, 1 / ++this.counted); // a mean of all, later of the last second
    for (let i = 0; i < this.features; i++) {
      const level = bytes[i >> 2] >> 2 * (i & 3) & 3;
      row[i] = level;
      const lost = level === 3 ? 1 : 0;
      this.missing[i] += pace * (lost - this.missing[i]);
      if (!lost) this.rate[i] += pace * (level - this.rate[i]);
    }
  }

  sort(ranks) {
    if (ranks.length < this.features) return;
    this.order = Uint16Array.from(ranks.filter((i) => i < this.features));
    this.stale = true;
  }

  palette() {
    const mix = (a, b, share) => a.map((v, i) => Math.round(v + share * (b[i] - v)));
    const bg = theme.bg.rgb;
    return [bg, mix(bg, theme.ink.rgb, 0.5), theme.ink.rgb, mix(bg, theme.miss.rgb, 0.55), theme.card.rgb];
  }

  draw() {
    const colours = this.palette(), data = this.column.data;
    const from = this.stale ? Math.max(0, this.seen - BINS) : Math.max(this.drawn, this.seen - BINS);
    if (this.stale) this.paint.clearRect(0, 0, BINS, this.rows);
    for (let bin = from; bin < this.seen; bin++) {
      const row = this.row(bin);
      for (let y = 0; y < this.rows; y++) {
        let top = -1;
        for (let i = y * this.fold; i < Math.min(this.features, (y + 1) * this.fold); i++) {
          const level = row[this.order[i]];
          if (level < 3) top = Math.max(top, level);
          else if (top < 0) top = -level;
        }
        const colour = colours[Math.abs(top)];
        data[4 * y] = colour[0]; data[4 * y + 1] = colour[1]; data[4 * y + 2] = colour[2]; data[4 * y + 3] = 255;
      }
      this.paint.putImageData(this.column, bin % BINS, 0);
    }
    this.drawn = this.seen;
    this.stale = false;
    const { context, width, height } = fit(this.canvas);
    context.imageSmoothingEnabled = false;
    const at = this.seen % BINS, per = width / BINS;
    if (at < BINS) context.drawImage(this.image, at, 0, BINS - at, this.rows, 0, 0, (BINS - at) * per, height);
    if (at > 0) context.drawImage(this.image, 0, 0, at, this.rows, width - at * per, 0, at * per, height);
  }

  // Which channels work: a cell each; returns a sentence.
  health(canvas) {
    const { context, width, height } = fit(canvas);
    const n = this.features;
    const columns = Math.min(n, Math.max(1, Math.ceil(Math.sqrt(n * width / Math.max(1, height)))));
    const rows = Math.ceil(n / columns);
    const w = width / columns, h = Math.min(w * 1.6, height / rows);
    const top = Math.max(0.02, [...this.rate].sort((a, b) => a - b)[Math.floor(0.95 * (n - 1))]);
    let dead = 0, lossy = 0, silent = 0;
    for (let i = 0; i < n; i++) {
      let colour = theme.ink.text, share = 0.12 + 0.88 * Math.min(1, this.rate[i] / top);
      if (this.missing[i] > 0.8) { dead += 1; colour = theme.miss.text; share = 1; }
      else if (this.missing[i] > 0.1) { lossy += 1; colour = theme.warn.text; share = 0.9; }
      else if (this.rate[i] < 1e-4) { silent += 1; colour = theme.muted.text; share = 0.2; }
      context.globalAlpha = share;
      context.fillStyle = colour;
      const gap = w > 5 ? 1 : 0.4;
      context.fillRect((i % columns) * w, Math.floor(i / columns) * h, Math.max(0.5, w - gap), Math.max(0.5, h - gap));
    }
    context.globalAlpha = 1;
    const parts = [`${n - dead - lossy} of ${n} well`];
    if (dead) parts.push(`${dead} dead`);
    if (lossy) parts.push(`${lossy} losing packets`);
    if (silent) parts.push(`${silent} silent`);
    return parts.join(", ");
  }
}

export class Velocity {
  constructor(canvas, hello) {
    this.canvas = canvas;
    this.axes = hello.steers;
    this.names = this.axes.map((axis) => hello.intent[axis]);
    this.units = this.names.map((name) => name.endsWith(".turn") ? "rad/s" : hello.unit);
    this.top = hello.max_speed * 1.15;
    this.span = BINS * hello.bin_s;
    this.points = [];
  }

  add(frame) {
    const last = this.points[this.points.length - 1];
    if (last && frame.t === last.t) return;
    if (last && frame.t < last.t) this.points = [];
    this.points.push({ t: frame.t, d: this.axes.map((axis) => frame.decoded[axis]), i: this.axes.map((axis) => frame.intended[axis]) });
    while (this.points[0].t < frame.t - this.span) this.points.shift();
  }

  draw() {
    const { context: c, width, height } = fit(this.canvas);
    const n = this.names.length, each = height / n, end = this.points.length ? this.points[this.points.length - 1].t : 0;
    for (let p = 0; p < n; p++) {
      const middle = each * (p + 0.5), scale = each * 0.46 / this.top;
      c.strokeStyle = theme.line.text;
      c.lineWidth = 1;
      c.beginPath(); c.moveTo(0, middle); c.lineTo(width, middle); c.stroke();
      for (const [key, colour] of [["i", theme.intended.text], ["d", theme.decoded.text]]) {
        c.strokeStyle = colour;
        c.lineWidth = 1.4;
        c.beginPath();
        let before = null;
        for (const point of this.points) {
          const x = width * (1 - (end - point.t) / this.span);
          const y = middle - scale * Math.max(-this.top, Math.min(this.top, point[key][p]));
          if (before === null || point.t - before > 2) c.moveTo(x, y); else c.lineTo(x, y);
          before = point.t;
        }
        c.stroke();
      }
      const name = `${this.names[p]}  ±${(this.top / 1.15).toPrecision(2)} ${this.units[p]}`;
      c.fillStyle = theme.card.text;
      c.globalAlpha = 0.8;
      c.fillRect(0, each * p, c.measureText(name).width + 6, 15);
      c.globalAlpha = 1;
      c.fillStyle = theme.muted.text;
      c.fillText(name, 2, each * p + 11);
    }
  }
}

// Sensors round a fingertip, where the names say so (finger.0, finger.45 ...); else a bar for each.
export class Taxels {
  constructor(canvas, hello) {
    this.canvas = canvas;
    this.names = hello.taxels;
    const angles = this.names.map((name) => /^\D+\.(\d+)$/.exec(name)).map((m) => m ? Number(m[1]) : NaN);
    const apart = 360 / this.names.length;
    this.ring = this.names.length > 2 && angles.every((a, i) => Math.abs(a - Math.floor(i * apart)) <= 1);
    this.note = this.ring ? this.names[0].split(".")[0] : "";
  }

  draw(frame) {
    const { context: c, width, height } = fit(this.canvas), n = this.names.length;
    if (!n) { nothing(c, "this body feels nothing", height); return "none"; }
    let total = 0;
    for (const value of frame.touch) total += value / 255 * frame.scale[0];
    if (this.ring) this.drawRing(c, width, height, frame.touch);
    else bars(c, width, height, frame.touch, theme.hit.text);
    return `${this.note} ${total.toFixed(2)} N`;
  }

  drawRing(c, width, height, touch) {
    const n = touch.length, x = width / 2, y = height / 2, outer = Math.min(width, height) / 2 - 12, inner = outer * 0.42;
    for (let i = 0; i < n; i++) {
      const a = -Math.PI / 2 - (i - 0.5) / n * 2 * Math.PI + 0.02, b = -Math.PI / 2 - (i + 0.5) / n * 2 * Math.PI - 0.02 + 0.04;
      const wedge = (radius) => {
        c.beginPath(); c.arc(x, y, radius, a, b, true); c.arc(x, y, inner, b, a, false); c.closePath(); c.fill();
      };
      c.fillStyle = theme.line.text; c.globalAlpha = 0.5; wedge(outer);
      c.globalAlpha = 1; c.fillStyle = theme.hit.text;
      if (touch[i]) wedge(inner + (outer - inner) * Math.max(0.08, touch[i] / 255));
    }
    c.fillStyle = theme.muted.text; c.textAlign = "center";
    c.fillText("tip", x, y - outer - 2);
    c.textAlign = "start";
  }
}

export function drawStim(canvas, frame, electrodes) {
  const { context: c, width, height } = fit(canvas);
  if (!electrodes) { nothing(c, "this channel does not stimulate", height); return "none"; }
  let total = 0, active = 0;
  for (const value of frame.stim) { total += value / 255 * frame.scale[1]; active += value ? 1 : 0; }
  const columns = Math.min(electrodes, Math.max(1, Math.round(Math.sqrt(electrodes * width / Math.max(1, height)))));
  const rows = Math.ceil(electrodes / columns), size = Math.min(width / columns, height / rows);
  const left = (width - columns * size) / 2, top = (height - rows * size) / 2;
  for (let i = 0; i < electrodes; i++) {
    const x = left + (i % columns + 0.5) * size, y = top + (Math.floor(i / columns) + 0.5) * size;
    c.beginPath();
    c.arc(x, y, size * 0.36, 0, 2 * Math.PI);
    c.fillStyle = theme.line.text; c.globalAlpha = 0.5; c.fill();
    c.globalAlpha = frame.stim[i] / 255; c.fillStyle = theme.warn.text; c.fill();
    c.globalAlpha = 1;
  }
  return `${total.toFixed(0)} µA on ${active} of ${electrodes}`;
}

function bars(c, width, height, values, colour) {
  const each = width / values.length;
  c.fillStyle = theme.line.text; c.fillRect(0, height - 1, width, 1);
  c.fillStyle = colour;
  for (let i = 0; i < values.length; i++) {
    const h = values[i] / 255 * (height - 4);
    c.fillRect(i * each + 0.5, height - 1 - h, Math.max(1, each - 1), h);
  }
}

function nothing(c, text, height) {
  c.fillStyle = theme.muted.text;
  c.fillText(text, 4, height / 2 + 4);
}
