// A loop that runs: what comes over the socket goes to the panes, what the user does goes to the loop.

import { chain, Show } from "./show.js";
import { Link } from "./wire.js";

const $ = (id) => document.getElementById(id);

export function live() {
  const show = new Show(), stats = show.stats;
  let status = null, state = "lost", touching = 0;

  function welcome(hello) {
    show.welcome(hello);
    $("chain").textContent = chain(hello);
    $("push").hidden = !(hello.push > 0);
    offer(hello);
  }

  // What the program lets the page choose: another stage makes the loop anew.
  function offer(hello) {
    const now = { person: `${hello.seed}`, ...Object.fromEntries(hello.stages) }; // a person is known by its seed
    $("choose").hidden = !Object.keys(hello.choices).length;
    $("choose").replaceChildren(...Object.entries(hello.choices).map(([kind, names]) => {
      const label = document.createElement("label"), select = document.createElement("select");
      const has = names.includes(now[kind]) ? names : [now[kind] ?? "", ...names];
      select.append(...has.map((name) => new Option(name, name, name === now[kind], name === now[kind])));
      select.id = `choose-${kind}`;
      select.onchange = () => act("choose", [kind, select.value]);
      label.append(kind, select);
      return label;
    }));
  }

  function take(frame) {
    show.take(frame);
    stats.bytes = link.bytes;
    stats.received = link.received;
    if (show.flatStale || frame.paused) return;
    $("time").textContent = `${frame.t.toFixed(1)} s`;
    $("progress").value = frame.progress;
  }

  function showScore() {
    const { drift_nats: drift, drift_limit_nats: limit, asks_for_calibration: asks } = status.decoder;
    const known = !(Number.isFinite(drift) && Number.isFinite(limit)) ? "" : `, drift ${drift.toFixed(1)} of ${limit.toFixed(1)} nats${asks ? ": calibrate again" : ""}`;
    show.score(status.score, status.trials > 0, `${status.trials} trial${status.trials === 1 ? "" : "s"}${known}`);
  }

  function showLatency() {
    show.latency(status.latency);
    $("misses").textContent = `${status.misses} of ${status.ticks} deadlines missed`;
    const faults = Object.entries(status.faults).flatMap(([stage, kinds]) => Object.entries(kinds).map(([kind, n]) => `${stage} ${kind} ${n}`));
    $("faults").textContent = status.note ? status.note : faults.length ? `faults: ${faults.join(", ")}` : "";
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
    const { frame, arrived } = show;
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
    hello: welcome, frame: take, status: know, order: (message) => show.sort(message),
    state: (text) => { state = text; showPhase(); },
  });

  // --- controls -------------------------------------------------------------------------------------------------------

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
  function push() {
    const size = show.hello?.push, body = show.panes.body;
    if (size > 0 && body) act("push", [...body.ahead().map((v) => v * size), 0]);
  }

  $("pause").onclick = toggle;
  $("step").onclick = step;
  $("push").onclick = push;
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
    t: () => flip("touch"), o: () => flip("oracle"), p: push,
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    if (event.key === " " && /^(BUTTON|INPUT|SELECT)$/.test(event.target.tagName)) return; // there it presses what has the focus
    if (event.target.tagName === "SELECT") return;
    event.preventDefault();
    KEYS[event.key]();
  });

  window.volition = { stats, panes: show.panes, link, get status() { return status; }, get frame() { return show.frame; } };
}
