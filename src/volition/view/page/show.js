// The panes of one run: whoever has frames gives them here, live or recorded; a second run has its own below "-2".

import { Body } from "./body.js";
import { drawStim, Raster, Taxels, Velocity } from "./plots.js";
import { readTheme } from "./theme.js";

const SCORE = {
  success: ["success", (v) => `${(100 * v).toFixed(0)} %`], bit_rate_bit_s: ["bit rate", (v) => `${v.toFixed(2)} bit/s`],
  throughput_bit_s: ["Fitts throughput", (v) => `${v.toFixed(2)} bit/s`], time_to_target_s: ["time to target", (v) => `${v.toFixed(2)} s`],
  path_efficiency: ["path efficiency", (v) => v.toFixed(2)],
};

function cell(tag, text, name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function figure(key, value) {
  const [name, form] = SCORE[key] || [key.replaceAll("_", " "), (v) => Number(v.toPrecision(3)).toString()];
  return [name, value === null ? "–" : form(value)];
}

export function chain(hello) {
  return hello.stages.slice(0, 5).map((s) => s[1]).join(" → ") + `   ·   task ${hello.stages[5][1]}   ·   seed ${hello.seed}`;
}

export class Show {
  constructor(suffix = "") {
    this.$ = (id) => document.getElementById(id + suffix);
    this.panes = {};
    this.stats = { received: 0, drawn: 0, bytes: 0, error: "" };
    this.hello = this.frame = null;
    this.fresh = this.flatStale = false;
    this.waiting = this.before = this.arrived = this.healthDue = this.flatDue = 0;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readTheme();
      if (this.panes.raster) this.panes.raster.stale = true;
      this.fresh = true;
    });
    addEventListener("resize", () => { this.fresh = true; this.healthDue = 0; });
    requestAnimationFrame((now) => this.draw(now));
  }

  welcome(hello) {
    const { $, panes } = this;
    this.hello = hello;
    this.forget();
    panes.taxels = new Taxels($("taxels"), hello);
    try {
      panes.body = new Body($("body"), hello);
    } catch (error) {
      panes.body = null;
      this.stats.error = String(error);
      $("body-note").textContent = `cannot be drawn: ${error.message}`;
    }
    this.frame = null;
  }

  // What was shown is no history of what comes.
  forget() {
    const order = this.panes.raster?.order;
    this.panes.raster = new Raster(this.$("raster"), this.hello);
    if (order) this.panes.raster.sort([...order]);
    this.panes.velocity = new Velocity(this.$("velocity"), this.hello);
    this.healthDue = 0;
  }

  sort(message) {
    this.panes.raster.sort(message.order);
    this.$("spikes-note").textContent = message.known ? "by preferred direction, last 10 s" : "last 10 s";
  }

  take(frame) {
    this.frame = frame;
    this.fresh = true;
    this.waiting += 1;
    this.arrived = performance.now();
    this.stats.received += 1;
    this.panes.raster.add(frame);
    this.panes.velocity.add(frame);
  }

  draw(now) {
    requestAnimationFrame((next) => this.draw(next));
    const { frame, panes } = this;
    if (!frame) return;
    if (this.fresh || panes.body?.changed) {
      if (this.fresh && this.waiting > 2) panes.body?.pace(now - this.before);
      this.flatStale ||= this.fresh;
      this.fresh = false;
      this.waiting = 0;
      this.before = now;
      panes.body?.draw(frame);
      this.stats.drawn += 1;
    } else if (this.before && now - this.before > 600) {
      this.before = 0;
      if (panes.body?.share < 1) panes.body.draw(frame, true);
    }
    if (this.flatStale && now >= this.flatDue) this.drawFlat(now);
  }

  drawFlat(now) {
    const { $, frame, panes } = this;
    this.flatStale = false;
    this.flatDue = now + 60;
    panes.raster.draw();
    panes.velocity.draw();
    $("touch-note").textContent = panes.taxels.draw(frame);
    $("stim-note").textContent = drawStim($("stim"), frame, this.hello.electrodes);
    if (now > this.healthDue) {
      $("health-note").textContent = panes.raster.health($("health"));
      this.healthDue = now + 400;
    }
  }

  // Figures by name; null stands for "not yet".
  score(figures, known, note) {
    const first = Object.keys(SCORE).filter((key) => key in figures);
    const keys = [...first, ...Object.keys(figures).filter((key) => !(key in SCORE) && !/_(low|high|q\d+_s)$|^n_/.test(key))].slice(0, 9);
    this.$("score").replaceChildren(...keys.flatMap((key, i) => {
      const [name, value] = figure(key, known ? figures[key] : null);
      return [cell("dt", name), cell("dd", value, i < 2 ? "big" : "")];
    }));
    this.$("score-note").textContent = note;
  }

  // Rows of name, p50, p99, max in µs.
  latency(rows) {
    this.$("latency").replaceChildren(...rows.map(([name, p50, p99, max]) => {
      const row = document.createElement("tr");
      if (name === "step") row.className = "total";
      for (const value of [name === "step" ? "whole bin" : name, ...[p50, p99, max].map((v) => v.toFixed(v < 10 ? 1 : 0))]) row.append(cell("td", value));
      return row;
    }));
  }
}
