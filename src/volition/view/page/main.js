// Glue: what comes over the socket goes to the panes, what the user does goes to the loop.

import { Body } from "./body.js";
import { drawStim, Raster, Taxels, Velocity } from "./plots.js";
import { readTheme } from "./theme.js";
import { Link } from "./wire.js";

const $ = (id) => document.getElementById(id);
const panes = {};
const stats = { received: 0, drawn: 0, bytes: 0, error: "" };
let frame = null, fresh = false, status = null, hello = null, state = "lost", healthDue = 0, flatDue = 0, touching = 0;
let flatStale = false, waiting = 0, before = 0, arrived = 0;

function welcome(message) {
  hello = message;
  panes.raster = new Raster($("raster"), hello);
  panes.velocity = new Velocity($("velocity"), hello);
  panes.taxels = new Taxels($("taxels"), hello);
  try {
    panes.body = new Body($("body"), hello);
  } catch (error) {
    panes.body = null;
    stats.error = String(error);
    $("body-note").textContent = `cannot be drawn: ${error.message}`;
  }
  frame = null;
  $("chain").textContent = hello.stages.slice(0, 5).map((s) => s[1]).join(" → ") + `   ·   task ${hello.stages[5][1]}   ·   seed ${hello.seed}`;
}

function take(next) {
  frame = next;
  fresh = true;
  waiting += 1;
  arrived = performance.now();
  stats.received = link.received;
  stats.bytes = link.bytes;
  panes.raster.add(frame);
  panes.velocity.add(frame);
}

function draw(now) {
  requestAnimationFrame(draw);
  if (!frame) return;
  if (fresh || panes.body?.changed) {
    if (fresh && waiting > 2) panes.body?.pace(now - before);
    flatStale ||= fresh;
    fresh = false;
    waiting = 0;
    before = now;
    panes.body?.draw(frame);
    stats.drawn += 1;
  }
  if (flatStale && now >= flatDue) drawFlat(now);
}

function drawFlat(now) {
  flatStale = false;
  flatDue = now + 60;
  panes.raster.draw();
  panes.velocity.draw();
  $("touch-note").textContent = panes.taxels.draw(frame);
  $("stim-note").textContent = drawStim($("stim"), frame, hello.electrodes);
  $("time").textContent = `${frame.t.toFixed(1)} s`;
  $("progress").value = frame.progress;
  if (now > healthDue) {
    $("health-note").textContent = panes.raster.health($("health"));
    healthDue = now + 400;
  }
}

const SCORE = {
  success: ["success", (v) => `${(100 * v).toFixed(0)} %`], bit_rate_bit_s: ["bit rate", (v) => `${v.toFixed(2)} bit/s`],
  throughput_bit_s: ["Fitts throughput", (v) => `${v.toFixed(2)} bit/s`], time_to_target_s: ["time to target", (v) => `${v.toFixed(2)} s`],
  path_efficiency: ["path efficiency", (v) => v.toFixed(2)],
};

function fill(parent, rows) {
  parent.replaceChildren(...rows.flat());
}

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

function showScore() {
  const known = Object.keys(SCORE).filter((key) => key in status.score);
  const keys = [...known, ...Object.keys(status.score).filter((key) => !(key in SCORE) && !/_(low|high|q\d+_s)$|^n_/.test(key))].slice(0, 9);
  fill($("score"), keys.map((key, i) => {
    const [name, value] = figure(key, status.trials ? status.score[key] : null);
    return [cell("dt", name), cell("dd", value, i < 2 ? "big" : "")];
  }));
  $("score-note").textContent = `${status.trials} trial${status.trials === 1 ? "" : "s"}`;
}

function showLatency() {
  fill($("latency"), status.latency.map(([name, p50, p99, max]) => {
    const row = document.createElement("tr");
    if (name === "step") row.className = "total";
    for (const value of [name === "step" ? "whole bin" : name, ...[p50, p99, max].map((v) => v.toFixed(v < 10 ? 1 : 0))]) row.append(cell("td", value));
    return row;
  }));
  $("misses").textContent = `${status.misses} of ${status.ticks} deadlines missed`;
  const faults = Object.entries(status.faults).flatMap(([stage, kinds]) => Object.entries(kinds).map(([kind, n]) => `${stage} ${kind} ${n}`));
  $("faults").textContent = faults.length ? `faults: ${faults.join(", ")}` : "";
  const { sent, dropped, pages } = status.frames;
  $("frames").textContent = `${pages} page${pages === 1 ? "" : "s"}, ${sent} frames sent, ${dropped} dropped`;
}

function showControls() {
  $("pause").textContent = status.paused ? "Start" : "Pause";
  if (performance.now() < touching) return; // the user's hand is on them
  for (const name of ["assist", "drop", "kill"]) setRange(name, status[name]);
  $("touch").checked = status.touch;
  $("oracle").checked = status.oracle;
  const speeds = [...$("speed").options].map((o) => Number(o.value));
  if (speeds.includes(status.speed)) $("speed").value = String(status.speed);
}

function setRange(name, value) {
  $(name).value = value;
  document.querySelector(`output[for=${name}]`).textContent = `${Math.round(100 * value)} %`;
}

function showPhase() {
  const phase = $("phase");
  if (state === "lost") { phase.textContent = "no connection to the loop"; phase.className = "lost"; return; }
  if (state === "ended" || status?.ended) { phase.textContent = "the run has ended"; phase.className = "wait"; return; }
  if (!status) return;
  if (fitting()) { phase.textContent = `${status.phase}: fitting the decoder …`; phase.className = "wait"; return; }
  const rate = status.rate > 0 ? ` at ${status.rate.toFixed(status.rate < 10 ? 1 : 0)}× real time` : "";
  phase.textContent = status.paused ? `${status.phase}, paused` : status.phase + rate;
  phase.className = status.phase === "run" && !status.paused ? "run" : "wait";
}

// Between two blocks of calibration the loop stands still while the decoder learns.
function fitting() {
  return frame && !status.paused && frame.progress >= 1 && status.phase !== "run" && performance.now() - arrived > 250;
}
setInterval(showPhase, 300);

function know(message) {
  if (status && performance.now() < touching) message.paused = status.paused;
  status = message;
  showScore();
  showLatency();
  showControls();
  showPhase();
}

const link = new Link({
  hello: welcome, frame: take, status: know,
  order: (message) => {
    panes.raster.sort(message.order);
    $("spikes-note").textContent = message.known ? "by preferred direction, last 10 s" : "last 10 s";
  },
  state: (text) => { state = text; showPhase(); },
});

// --- controls ---------------------------------------------------------------------------------------------------------

function act(name, value) {
  touching = performance.now() + 700;
  link.act(name, value);
}

function toggle() {
  if (!status) return;
  act(status.paused ? "resume" : "pause");
  status.paused = !status.paused; // at once: the next press means the other one, whatever is still on its way
  showControls();
  showPhase();
}
function step() {
  act("step");
  if (status) status.paused = true;
}

$("pause").onclick = toggle;
$("step").onclick = step;
$("restart").onclick = () => act("restart");
$("speed").onchange = () => act("speed", Number($("speed").value));
for (const name of ["assist", "drop", "kill"]) {
  $(name).oninput = () => { setRange(name, Number($(name).value)); act(name, Number($(name).value)); };
}
for (const name of ["touch", "oracle"]) $(name).onchange = () => act(name, $(name).checked);
$("controls").onsubmit = (event) => event.preventDefault();

function faster(by) {
  const select = $("speed"), next = select.selectedIndex + by;
  if (next < 0 || next >= select.options.length) return;
  select.selectedIndex = next;
  select.onchange();
}

function flip(name) {
  $(name).checked = !$(name).checked;
  $(name).onchange();
}

const KEYS = {
  " ": toggle, ".": step, r: () => act("restart"), "+": () => faster(1), "=": () => faster(1), "-": () => faster(-1),
  t: () => flip("touch"), o: () => flip("oracle"),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  if (event.key === " " && /^(BUTTON|INPUT|SELECT)$/.test(event.target.tagName)) return; // there it presses what has the focus
  if (event.target.tagName === "SELECT") return;
  event.preventDefault();
  KEYS[event.key]();
});

function redraw() {
  readTheme();
  if (panes.raster) panes.raster.stale = true;
  fresh = true;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => { fresh = true; healthDue = 0; });

window.volition = { stats, panes, link, get status() { return status; }, get frame() { return frame; } };
requestAnimationFrame(draw);
