"""The loop: one step function for simulated and for real time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from volition import __version__
from volition.errors import ConfigError
from volition.loop.acts import ACTS
from volition.loop.build import describe, fit_together, label, make, periods
from volition.loop.clock import Clock, Lockstep, RealTime
from volition.loop.config import LoopConfig, Signals
from volition.loop.guard import Freshness, Guard, Hold, finite, sealed, sound_features, sound_vector
from volition.loop.inject import Injector
from volition.loop.latency import Latency
from volition.loop.record import DECODER, REPORT, Recorder, Tape, appearance
from volition.loop.report import Report
from volition.loop.selected import selection
from volition.signal import NS_PER_MS, EndOfInput, Features, Float32, Intent, Stim, Touch, View
from volition.stage import KINDS, Adaptive, Placed, Retrospective, Saveable

if TYPE_CHECKING:
    from volition.loop.calibrate import Calibration


class Loop:
    """Five stages and a task, closed.

    In each bin: the person sees (a visual delay ago) and thinks, the channel reads, the decoder decodes; the body moves with
    that intent, at its own faster period; the task judges; what was touched is encoded, passes the gate, and reaches the
    brain in the next bin. A guard stands after each stage.

    Args:
        brain, channel, decoder, effector, feedback, task: a component's name, "module:Class", a path ending in .py, a (name,
            configuration) pair, or an instance.
        config: how the loop is closed.
        seed: of all randomness; equal seeds give byte-equal signals on one machine.
        record: folder for the run's log, or None.

    Attributes:
        clock: what paces the steps; another one may take its place before a run.

    Raises:
        ConfigError: the stages do not fit together.
    """

    def __init__(
        self,
        brain: Any = "person",
        channel: Any = "ideal",
        decoder: Any = "kalman",
        effector: Any = "cursor",
        feedback: Any = "silent",
        task: Any = "reach",
        *,
        config: LoopConfig | None = None,
        seed: int = 0,
        record: str | Path | None = None,
        _tape: Tape | None = None,
    ) -> None:
        self.config = config or LoopConfig()
        wanted = dict(zip(KINDS, (brain, channel, decoder, effector, feedback, task), strict=True))
        self.stages = {kind: make(kind, what) for kind, what in wanted.items()}
        self.brain, self.channel, self.decoder, self.effector, self.feedback, self.task = self.stages.values()
        if getattr(self.brain.spec, "live", False) and self.config.clock != "real":
            raise ConfigError(f"brain {label(self.brain)} is live: it needs the real clock (LoopConfig(clock='real'))")
        self.setup = fit_together(self.stages, seed)
        self._tick_ns, self._bin_every, self._body_every = periods(self.effector.spec.period_ns, self.setup.bin_ns)
        self._dt = self._body_every * self._tick_ns / 1e9
        self.guards = {name: Guard(name) for name in (*KINDS, "gate")}
        self.injector = Injector(self.setup)
        self.latency = {"step": Latency(), "lag": Latency()}
        self.clock: Clock = Lockstep() if self.config.clock == "lockstep" or _tape else RealTime(self.config.max_lag_ms)
        self.assist, self.phase, self.progress = self.config.assist, "run", 0.0
        self.t_ns = self.ticks = self.misses = 0
        self._collected: list[tuple[Float32, Any, Float32, int, Any]] | None = None
        self._tape: Tape | None = _tape
        if record is not None:
            self._tape = self._recorder(Path(record))
        self._start()

    def _recorder(self, folder: Path) -> Recorder:
        run: dict[str, Any] = {"version": __version__, "seed": self.setup.seed, "config": self.config.__dict__}
        run["stages"] = {kind: describe(stage) for kind, stage in self.stages.items()}
        tape = Recorder(folder, run, appearance(self.setup, self.stages), self.effector)
        if self.fitted and isinstance(self.decoder, Saveable) and self.decoder.arrays():
            np.savez(folder / DECODER, allow_pickle=False, **self.decoder.arrays())
        return tape

    def _start(self) -> None:
        """State before the first tick."""
        width, electrodes = len(self.setup.intent), self.setup.electrodes
        last = self.last = Signals()
        last.body = self.effector.state()
        last.goal = self.task.restart(0)
        last.view = View(0, last.goal, last.body)
        last.spikes = last.features = None
        last.decoded = last.intended = np.zeros(width, np.float32)
        last.intent = Intent(0, last.decoded, 0.0)
        last.touch = Touch(0, np.zeros(self.setup.taxels))
        last.stim = last.delivered = Stim.zero(0, electrodes)
        c = self.config
        self._hold = Hold(width, *(int(ms * NS_PER_MS) for ms in (c.hold_ms, c.decay_ms, c.stop_ms)))
        delay_bins = round(self.brain.spec.view_delay_ns / self.setup.bin_ns)
        self._views: deque[View] = deque([last.view], maxlen=delay_bins + 1)
        self._freshness = Freshness(self.guards["channel"])
        self._segment: int | None = None
        self._adaptive, self._placed = isinstance(self.decoder, Adaptive), isinstance(self.decoder, Placed)
        self._recalls = isinstance(self.decoder, Retrospective)

    @property
    def fitted(self) -> bool:
        """Whether the decoder can decode (controls always can)."""
        return bool(getattr(self.decoder, "fitted", True))

    # --- the step -----------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One tick. Raises `EndOfInput` when a recording ends."""
        now = self.t_ns
        self.clock.wait(now)
        start = time.perf_counter_ns()
        bin_due = self.ticks % self._bin_every == 0
        if bin_due:
            self._think(now)
        if self.ticks % self._body_every == 0:
            self._act(now)
        self.t_ns = now + self._tick_ns
        self.ticks += 1
        if bin_due:
            self._feel(now)
        took = time.perf_counter_ns() - start
        if took > self._tick_ns:
            self.misses += 1
        if bin_due:
            self.latency["step"].add(took)
            if self._tape is not None:
                self._tape.tick(now, [*(guard.last_ns for guard in self.guards.values()), took])

    def _put(self, name: str, signal: Any) -> Any:
        return signal if self._tape is None else self._tape.put(name, signal)

    def _think(self, now: int) -> None:
        """Brain, channel, decoder: what is wanted."""
        self._sense(now)
        self._decide(now)

    def _sense(self, now: int) -> None:
        """Brain and channel: the features of the bin that ends now."""
        last, guards = self.last, self.guards
        self._views.append(View(now, last.goal, last.body))
        last.view = self._views[0]
        spikes = guards["brain"].call(self.brain.step, last.view, last.delivered)
        last.spikes = self._put("spikes", spikes)
        intended = sound_vector(guards["brain"], guards["brain"].ask(self.brain.intended), len(last.intended))
        last.intended = self._put("intended", last.intended if intended is None else intended)
        features = None
        if last.spikes is not None:
            read = guards["channel"].call(self.channel.read, last.spikes)
            features = sound_features(guards["channel"], read, self.setup.features)
            if features is not None and self.injector.active:
                features = self.injector.features(features)
        last.features = features = self._put("features", features)
        if features is not None and self._collected is not None:
            self._collected.append((features.x, features.mask, self._aim(), features.segment, self.last.body.position))

    def _aim(self) -> Float32:
        """What an ideal user would command who knows where the body is and sees the goal as late as the person does."""
        aim: Float32 = self.task.aim(self.last.body, self.last.view.goal)
        return aim

    def _decide(self, now: int) -> None:
        """Decoder and guards: the intent of this bin."""
        last, features = self.last, self.last.features
        decoded = self._decode(features) if self.fitted else np.zeros_like(last.decoded)
        late = bool(self._put("late", np.bool_(self.clock.lag_ns(now) > self.setup.bin_ns)))
        if late:
            self.guards["decoder"].refuse("late")
            decoded = None
        decoded = self._put("decoded", decoded)
        fresh = features is not None and self._freshness.judge(features)
        if decoded is not None and fresh:
            last.decoded = decoded
            values, confidence = self._hold.good(now, decoded), self._confidence()
        else:
            values, confidence = self._hold.bad(now, features is not None and decoded is None and not late), 0.0
        values = self._mix(values)
        age = now - self._freshness.t_ns if self._freshness.t_ns >= 0 else 0
        last.intent = self._put("intent", Intent(now, values, confidence, age))
        if self.config.clock == "real":
            self.latency["lag"].add(max(0, self.clock.lag_ns(now)))

    def _confidence(self) -> float:
        """The decoder's own, 0 where it has none to give."""
        value = self.guards["decoder"].ask(lambda: float(self.decoder.confidence))
        if value is not None and 0 <= value <= 1:
            return float(value)
        self.guards["decoder"].refuse("confidence")
        return 0.0

    def _decode(self, features: Features | None) -> Float32 | None:
        """The decoder's answer, or None where there is none to be had."""
        if features is None:
            return None
        if features.segment != self._segment:
            # What came before a border is not history: the decoder starts anew.
            self.guards["decoder"].ask(self.decoder.reset)
            self._segment = features.segment
        guard = self.guards["decoder"]
        if self._placed:
            guard.ask(self.decoder.place, self.last.body)
        if self._adaptive and self.config.adapt != "off":
            guard.ask(self.decoder.observe, self.last.body, self._aim() if self.config.adapt == "supervised" else None)
        decoded = sound_vector(guard, guard.call(self.decoder.step, *sealed(features)), len(self.setup.intent))
        if decoded is None:
            self.guards["decoder"].ask(self.decoder.reset)
        return decoded

    def _mix(self, values: Float32) -> Float32:
        """Oracle and assist: out = (1 - a) decoded + a aim."""
        if self.config.oracle:
            return self.last.intended
        if self.assist > 0 and not self._hold.stopped:
            return np.asarray((1 - self.assist) * values + self.assist * self._aim(), np.float32)
        return values

    def _act(self, now: int) -> None:
        """Effector and task: what is done, and what is asked next."""
        last, guards = self.last, self.guards
        touch = body = None
        moved = guards["effector"].call(self.effector.step, last.intent, self._dt)
        if moved is not None:
            touch, body = moved
            if not (finite(body.position) and finite(touch.pressure)):
                guards["effector"].refuse("not finite")
                touch = body = None
        touch, body = self._put("touch", touch), self._put("body", body)
        if body is not None:
            last.touch, last.body = touch, body
        goal = guards["task"].call(self.task.step, now + int(self._dt * 1e9), last.body)
        goal = self._put("goal", goal)
        if goal is not None:
            if self._recalls and goal.trial != last.goal.trial and self.config.adapt == "selections":
                guards["decoder"].ask(self.decoder.selected, selection(self.task.trials()))
            last.goal = goal

    def _feel(self, now: int) -> None:
        """Feedback and gate: what was touched, and what of it is delivered. No stimulation while decoding is stopped."""
        last, guards, electrodes = self.last, self.guards, self.setup.electrodes
        stim = guards["feedback"].call(self.feedback.step, last.touch)
        if self._hold.stopped or stim is None or not self.injector.touch:
            stim = Stim.zero(now, electrodes)
        last.stim = self._put("stim", stim)
        delivered = guards["gate"].call(self.channel.write, last.stim)
        last.delivered = self._put("delivered", Stim.zero(now, electrodes) if delivered is None else delivered)

    # --- acts -------------------------------------------------------------------------------------------------------------

    def act(self, name: str, **how: Any) -> None:
        """Do to the loop what is no step, and record it.

        Args:
            name: assist, oracle, adapt, collect, fit, restart, arm, kill, drop, touch or push.
            how: what the act is given: `share` (assist, kill, drop), `on` (oracle, collect, touch), `how` (adapt),
                `impulse` (push).
        """
        if self._tape is not None:
            self._tape.act(name, **how)
        ACTS[name](self, **how)

    def arm(self) -> None:
        """Allow motion and stimulation; after a stop nothing else does."""
        self.act("arm")

    # --- use --------------------------------------------------------------------------------------------------------------

    def calibrate(self, calibration: Calibration | None = None, watch: Callable[[Loop], None] | None = None) -> Loop:
        """Fit the decoder in the loop: observe, fit, let the assist fade. See `loop/calibrate.py`."""
        from volition.loop.calibrate import calibrate

        calibrate(self, calibration, watch)
        return self

    def advance(self, seconds: float, watch: Callable[[Loop], None] | None = None) -> bool:
        """Step for so long; `watch` is called once a bin. False if the input ended first."""
        start, end = self.t_ns, self.t_ns + round(seconds * 1e9)
        while self.t_ns < end:
            bin_due = self.ticks % self._bin_every == 0
            try:
                self.step()
            except EndOfInput:
                return False
            if bin_due and watch is not None:
                self.progress = (self.t_ns - start) / (end - start)
                watch(self)
        return True

    def run(self, seconds: float, watch: Callable[[Loop], None] | None = None) -> Report:
        """A new block of the task, for so many simulated seconds or until the input ends.

        Raises:
            ConfigError: the decoder has learnt nothing yet, or the time is not positive.
        """
        if not 0 < seconds < float("inf"):
            raise ConfigError(f"seconds must be positive, got {seconds}")
        if not self.fitted and not self.config.oracle:
            raise ConfigError(f"decoder {label(self.decoder)} is not fitted: call calibrate(), or load a saved model")
        self.act("restart")
        self.phase = "run"
        start, began = self.t_ns, time.perf_counter()
        self.advance(seconds, watch)
        return self.report((self.t_ns - start) / 1e9, time.perf_counter() - began)

    def report(self, seconds: float = 0.0, wall_s: float = 0.0) -> Report:
        """Figures of the present block; latencies and faults are of the whole life of the loop."""
        rows = {**{name: guard.latency for name, guard in self.guards.items()}, **self.latency}
        gate = getattr(self.channel, "gate", None)
        return Report(
            seconds=seconds,
            wall_s=wall_s,
            stages={kind: label(stage) for kind, stage in self.stages.items()},
            score=dict(self.task.score()),
            trials=[dict(trial) for trial in self.task.trials()],
            latency={name: row.summary_us() for name, row in rows.items() if row.n},
            faults={name: dict(guard.faults) for name, guard in self.guards.items() if guard.faults},
            held=self._hold.held,
            stops=self._hold.stops,
            misses=self.misses,
            dropped_ms=self.clock.dropped_ns / 1e6,
            gate=dict(getattr(gate, "counts", {})),
            effector=self.told("effector"),
            decoder=self.told("decoder"),
            seed=self.setup.seed,
        )

    def told(self, kind: str) -> dict[str, Any]:
        """What this stage tells of itself by `figures()`, if it does."""
        stage = self.stages[kind]
        return dict(self.guards[kind].ask(stage.figures) or {}) if hasattr(stage, "figures") else {}

    def close(self, report: Report | None = None) -> None:
        """Finish the log; the report, if given, is saved beside it. Stages that hold something open let go of it."""
        for stage in self.stages.values():
            if hasattr(stage, "close"):
                stage.close()
        if self._tape is not None:
            self._tape.close()
            if report is not None and isinstance(self._tape, Recorder):
                report.save(self._tape.folder / REPORT)
            self._tape = None

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
