// Recorded runs, one or two: pieces of five seconds come from the server or stand in this file; time is in the user's hands.

import { chain, Show } from "./show.js";
import { decode } from "./wire.js";
import { fit, theme } from "./theme.js";

const $ = (id) => document.getElementById(id);
const KEPT = 48; // pieces
const BACK = 512; // bins that the spikes show

class Served {
  constructor(run) {
    this.address = `run/${run}`;
    this.token = encodeURIComponent(document.querySelector("meta[name=token]").content);
  }

  async get(what) {
    const answer = await fetch(`${this.address}/${what}?token=${this.token}`);
    if (!answer.ok) throw new Error(`${what}: ${answer.status}`);
    return answer;
  }

  async contents() { return (await this.get("contents")).json(); }

  async piece(number) { return (await this.get(`piece/${number}`)).arrayBuffer(); }
}

class Embedded {
  constructor(run) { this.run = run; }

  async contents() { return JSON.parse($(`run-${this.run}`).textContent); }

  async piece(number) {
    const text = atob($(`run-${this.run}-${number}`).textContent), packed = Uint8Array.from(text, (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  }
}

// One run: what of it is here, and how far it is shown.
class Run {
  constructor(source, contents, suffix) {
    this.source = source;
    this.show = new Show(suffix);
    this.pieces = new Map();
    this.at = -1; // bins shown
    this.info = null;
    this.failed = "";
    this.suffix = suffix;
    this.show.welcome(contents.hello);
    this.know(contents);
  }

  know(contents) {
    this.contents = contents;
    if (contents.order) this.show.sort(contents.order);
    this.stale = true;
  }

  piece(number) {
    const here = this.pieces.get(number);
    if (here !== undefined) return here; // null: on its way
    this.pieces.set(number, null);
    this.source.piece(number).then((buffer) => {
      this.pieces.set(number, this.cut(buffer));
      if (this.pieces.size > KEPT) this.pieces.delete([...this.pieces.keys()].find((n) => Math.abs(n - number) > 3));
    }).catch((error) => {
      this.failed = `cannot be read: ${error.message}`;
      setTimeout(() => this.pieces.delete(number), 2000);
    });
    return null;
  }

  cut(buffer) {
    const view = new DataView(buffer), size = view.getUint32(0, true);
    const info = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
    const frames = [];
    for (let at = 4 + size; at < buffer.byteLength;) {
      const length = view.getUint32(at, true);
      frames.push(decode(buffer.slice(at + 4, at + 4 + length), this.contents.hello));
      at += 4 + length;
    }
    this.failed = "";
    return { info, frames };
  }

  // Show bins up to `to`, counted from the beginning of what is here; false while they are on their way.
  go(to) {
    const { begin, bins, piece, pieces } = this.contents;
    to = Math.max(1, Math.min(bins, Math.floor(to)));
    if (to === this.at) return true;
    const jump = this.at < 0 || to < this.at || to - this.at > BACK;
    const from = jump ? Math.max(0, to - BACK) : this.at;
    const first = Math.floor(from / piece), last = Math.floor((to - 1) / piece);
    let here = true;
    for (let n = first; n <= last; n++) here = this.piece(n) !== null && here;
    if (last + 1 < pieces) this.piece(last + 1);
    if (!here) return false;
    if (jump) this.show.forget();
    let shown = null;
    for (let n = first; n <= last; n++) {
      for (const frame of this.pieces.get(n).frames) {
        const bin = frame.bin - begin;
        if (bin > to) break;
        shown = frame;
        if (bin > from) this.show.take(frame);
      }
    }
    if (shown && this.show.frame !== shown) this.show.take(shown); // the newest there is, in a film of few frames
    this.at = to;
    const info = this.pieces.get(last).info;
    if (info !== this.info) this.tellPiece(info);
    return true;
  }

  get time() { return (this.contents.begin + Math.max(0, this.at)) * this.contents.hello.bin_s; }

  tellPiece(info) {
    this.info = info;
    this.show.latency(info.latency);
    this.show.$("misses").textContent = info.latency.length ? "of the five seconds shown" : "no times were kept";
    const lost = Object.entries(info.lost).map(([name, n]) => `${name} ${n}`);
    this.show.$("faults").textContent = lost.length ? `nothing came: ${lost.join(", ")}` : "";
  }

  phase() {
    const now = this.time;
    return this.contents.phases.findLast(([begin]) => begin < now || begin === 0)?.[1] ?? "run";
  }

  // Trials of the last block that are over, and how many of them were hit.
  tell() {
    const { trials, outcomes, score, phases, whole } = this.contents, now = this.time, start = phases.at(-1)[0];
    const ends = trials.filter(([begin]) => begin > start).map(([begin]) => begin), over = ends.filter((end) => end <= now).length;
    const hits = outcomes.slice(0, over).filter(Boolean).length;
    const kept = Object.keys(score).length ? "whole run" : "not kept: the run was cut short";
    const note = !whole ? "reading the run …" : kept + (outcomes.length ? `; so far hits: ${hits} of ${Math.min(over, outcomes.length)}` : "");
    this.show.score(score, true, note);
  }

  // Phases, targets and what was done by hand, along the time.
  marks(seconds) {
    const { context: c, width, height } = fit($(`marks${this.suffix}`)), { phases, trials, outcomes, acts, begin, bins, hello } = this.contents;
    const from = begin * hello.bin_s, to = from + bins * hello.bin_s, x = (t) => (t - from) / seconds * width;
    phases.forEach(([start, name], i) => {
      const end = Math.min(phases[i + 1]?.[0] ?? to, to), left = Math.max(0, x(start));
      if (x(end) <= left) return;
      c.fillStyle = name === "run" ? theme.hit.text : theme.warn.text;
      c.globalAlpha = 0.22;
      c.fillRect(left, 0, x(end) - left - 1, height);
      c.globalAlpha = 1;
      c.fillStyle = theme.fg.text;
      if (c.measureText(name).width < x(end) - left - 10) c.fillText(name, left + 8, height - 4);
    });
    const block = phases.at(-1)[0];
    trials.filter(([start]) => start > block).forEach(([start], i) => {
      if (i >= outcomes.length) return;
      c.fillStyle = outcomes[i] ? theme.hit.text : theme.miss.text;
      c.fillRect(x(start) - 0.5, 0, 1.5, outcomes[i] ? 5 : height);
    });
    c.fillStyle = theme.ink.text;
    for (const [when] of acts) { c.beginPath(); c.arc(x(when), height / 2, 3, 0, 7); c.fill(); }
    this.stale = false;
  }
}

// A second set of panes beside the first.
function twin() {
  const panes = document.querySelector("main"), copy = panes.cloneNode(true);
  for (const element of [copy, ...copy.querySelectorAll("[id]")]) if (element.id) element.id += "-2";
  panes.after(copy);
  const marks = $("marks").cloneNode();
  marks.id = "marks-2";
  $("marks").after(marks);
  document.body.classList.add("two");
}

export async function play() {
  document.body.classList.add("play");
  const embedded = Boolean($("run-0"));
  const count = embedded ? ($("run-1") ? 2 : 1) : await (await new Served(0).get("../../runs")).json();
  if (count > 1) twin();
  const runs = [];
  for (let i = 0; i < count; i++) {
    const source = embedded ? new Embedded(i) : new Served(i);
    runs.push(new Run(source, await source.contents(), i ? "-2" : ""));
  }
  const bin_s = runs[0].contents.hello.bin_s, seconds = Math.max(...runs.map((r) => r.contents.bins * r.contents.hello.bin_s));
  const state = { at: bin_s, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches, before: 0, ready: false, told: 0 };

  const wish = /[#&]t=([\d.]+)/.exec(location.hash); // a moment to stand still at
  if (wish) { state.at = Math.min(seconds, Number(wish[1]) || bin_s); state.playing = false; }

  $("chain").textContent = count > 1 ? "two recorded runs" : chain(runs[0].contents.hello);
  if (count > 1) for (const run of runs) {
    const title = run.show.$("title");
    title.hidden = false;
    title.textContent = `${run.contents.name}: ${chain(run.contents.hello)}`;
  }
  $("seek").max = seconds;
  $("seek").step = bin_s;

  function showState() {
    $("play").textContent = state.playing ? "Pause" : "Play";
    $("seek").value = state.at;
    $("seek").setAttribute("aria-valuetext", `${state.at.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
    $("time").textContent = `${(runs[0].contents.begin * bin_s + state.at).toFixed(1)} s`;
    $("of").textContent = `${state.at.toFixed(1)} / ${seconds.toFixed(1)} s`;
    $("progress").value = state.at / seconds;
    const failed = runs.find((r) => r.failed)?.failed, torn = runs.some((r) => r.contents.torn);
    const phases = [...new Set(runs.map((r) => r.phase()))].join(" | ");
    $("phase").textContent = failed || (state.ready ? `${phases}${state.playing ? "" : ", paused"}${torn ? ", log torn" : ""}` : "loading …");
    $("phase").className = failed ? "lost" : runs[0].phase() === "run" ? "run" : "wait";
    for (const run of runs) { if (run.stale) run.marks(seconds); run.tell(); }
  }

  function go(to) {
    const next = Math.max(bin_s, Math.min(seconds, to));
    state.ready = runs.map((run) => run.go(next / run.contents.hello.bin_s + 1e-6)).every(Boolean);
    state.at = next;
  }

  function tick(now) {
    const speed = Number($("speed-play").value), past = Math.min(0.25, (now - state.before) / 1000);
    state.before = now;
    const to = state.playing && state.ready ? state.at + past * speed : state.at;
    if (to >= seconds) state.playing = false;
    go(to);
    if (now - state.told > 120) { state.told = now; showState(); }
    requestAnimationFrame(tick);
  }

  function toggle() {
    if (!state.playing && state.at >= seconds) go(bin_s);
    state.playing = !state.playing;
    showState();
  }
  function step(by) {
    state.playing = false;
    go(Math.round(state.at / bin_s + by) * bin_s);
    showState();
  }
  function jump(by) { go(state.at + by); showState(); }

  // To the start of the phase before or after.
  function phase(by) {
    const { phases, begin } = runs[0].contents, starts = phases.map(([t]) => t - begin * bin_s + bin_s), at = state.at;
    const to = by > 0 ? starts.find((t) => t > at + 0.5 * bin_s) ?? seconds : starts.findLast((t) => t < at - 0.5) ?? bin_s;
    go(to);
    showState();
  }
  function faster(by) {
    const select = $("speed-play");
    select.selectedIndex = Math.max(0, Math.min(select.options.length - 1, select.selectedIndex + by));
  }

  $("play").onclick = toggle;
  $("back").onclick = () => step(-1);
  $("on").onclick = () => step(1);
  $("phase-back").onclick = () => phase(-1);
  $("phase-on").onclick = () => phase(1);
  $("seek").oninput = () => { go(Number($("seek").value)); showState(); };
  $("transport").onsubmit = (event) => event.preventDefault();
  const KEYS = {
    " ": toggle, ",": () => step(-1), ".": () => step(1), ArrowLeft: () => jump(-1), ArrowRight: () => jump(1),
    "[": () => phase(-1), "]": () => phase(1), Home: () => jump(-seconds), End: () => jump(seconds),
    "+": () => faster(1), "=": () => faster(1), "-": () => faster(-1),
  };
  addEventListener("keydown", (event) => {
    const tag = event.target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    if (tag === "SELECT" || (event.key === " " && tag === "BUTTON")) return;
    if (event.key.length > 1 && (tag === "CANVAS" || tag === "INPUT")) return; // there they turn the body, or move the slider
    event.preventDefault();
    KEYS[event.key]();
  });
  addEventListener("resize", () => { for (const run of runs) run.stale = true; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const run of runs) run.stale = true; });

  // A long run is shown at once; what happened when comes as soon as it has been read through.
  async function more() {
    for (const run of runs) {
      if (run.contents.whole && run.contents.order) continue;
      try { run.know(await run.source.contents()); } catch { run.failed = "the server does not answer"; }
    }
    if (runs.some((r) => !(r.contents.whole && r.contents.order))) setTimeout(more, 1000);
  }
  if (!embedded) setTimeout(more, 500);

  window.volition = { runs, state, seconds, get frame() { return runs[0].show.frame; }, stats: runs[0].show.stats, panes: runs[0].show.panes };
  requestAnimationFrame(tick);
}
