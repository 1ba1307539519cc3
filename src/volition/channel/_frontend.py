"""Front end of the implant: voltage in, threshold crossings and spiking-band power out, causal, in chunks of any size.

Per channel and sample, with the samples counted from 0:

1. reference: x minus the average of its array's good channels (or minus its regression on them, Young et al. 2018);
2. spikes: Butterworth band-pass of order 4, 250-5,000 Hz (BrainGate practice), y;
3. threshold: m is the running mean square of y, updated at the end of every block of one dead time (1 ms),
   m += max(n/N, n/(τ·fs))·(mean of y² over the block's n samples - m), N = samples so far; a crossing is the first
   sample with y < -max(4.5·√m, 1 LSB), unless one was found less than the dead time ago;
4. spiking-band power: mean of |y| over the bin in 300-1,000 Hz, order 2 (Nason et al. 2020);
5. around our own stimulation pulses the input is held until 740 µs after the pulse (Weiss et al. 2019), in differences:
   the filters see a constant, and continue without a step. Held samples are missing in `exposure`, m and the power;
6. channels that stick or sit at a rail for a part of a bin are masked in that bin, leave the reference from the next,
   and come back some time after they recovered.

Every recursion advances sample by sample and every block and bin is aligned to the sample count, so the output does not
depend on how the samples were cut into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._frontend_design import BinClock, Plan, array_edges, band_pass, regression_weights
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_S, Bool, Float32, Float64


@dataclass(frozen=True)
class FrontEndConfig:
    """Settings of the front end.

    Attributes:
        reference: "common_average", "regression" (common average until `fit_reference`) or "none".
        array_size: neighbouring channels that share a reference: a multiple of 16, or 0 for all (Utah 96, N1 thread 16).
        band_hz: spike band, Hz.
        power_band_hz: band of the spiking-band power, Hz (Nason 2020).
        threshold_rms: threshold in running RMS, downwards (BrainGate: 4.5).
        threshold_floor_lsb: least threshold, LSB.
        rms_time_s: time constant of the running mean square, s.
        dead_time_ms: after a crossing, ms.
        settle_ms: no crossings are reported and bins are masked until then, ms.
        hold_us: the input is held until this long after a stimulation pulse's start, µs (Weiss 2019).
        min_exposure: a bin with a smaller part of its samples unheld is masked.
        rail_low: code at or below which the ADC is at its rail, LSB.
        rail_high: code at or above which it is, LSB.
        rail_fraction: part of a bin at the rail that masks a channel.
        stuck_fraction: part of a bin without any change from sample to sample that masks a channel.
        recover_ms: how long a masked channel must be well before it counts again, ms.
        engine: "numba" (extra `[fast]`), "numpy", or "auto": numba where it is installed.
    """

    reference: str = "common_average"
    array_size: int = 64
    band_hz: tuple[float, float] = (250.0, 5000.0)
    power_band_hz: tuple[float, float] = (300.0, 1000.0)
    threshold_rms: float = 4.5
    threshold_floor_lsb: float = 1.0
    rms_time_s: float = 10.0
    dead_time_ms: float = 1.0
    settle_ms: float = 500.0
    hold_us: float = 740.0
    min_exposure: float = 0.5
    rail_low: int = -512
    rail_high: int = 511
    rail_fraction: float = 0.05
    stuck_fraction: float = 0.5
    recover_ms: float = 500.0
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.reference not in ("common_average", "regression", "none"):
            raise ConfigError(f"reference must be common_average, regression or none, got {self.reference!r}")
        if self.engine not in ("auto", "numba", "numpy"):
            raise ConfigError(f"engine must be auto, numba or numpy, got {self.engine!r}")
        for name in ("threshold_rms", "rms_time_s", "dead_time_ms"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("threshold_floor_lsb", "settle_ms", "hold_us", "recover_ms", "array_size"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("min_exposure", "rail_fraction", "stuck_fraction"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in (0, 1], got {getattr(self, name)}")
        if self.rail_low >= self.rail_high:
            raise ConfigError(f"rail_low must be below rail_high, got {self.rail_low} and {self.rail_high}")


@dataclass(frozen=True, slots=True, eq=False)
class Bin:
    """What the front end found in one bin.

    Attributes:
        index: number of the bin, from 0.
        t_ns: its end, ns after sample 0.
        counts: crossings `[channels]` uint16.
        power: spiking-band power `[channels]` float32, LSB (mean of |y|); undefined where nothing was exposed.
        mask: `[channels]`, True = missing.
        exposure: part of the bin that was not held around stimulation pulses.
        channel: `[crossings]` int32 and
        sample: `[crossings]` int64, sorted by sample, then channel: the single crossings.
    """

    index: int
    t_ns: int
    counts: NDArray[np.uint16]
    power: Float32
    mask: Bool
    exposure: float
    channel: NDArray[np.int32]
    sample: NDArray[np.int64]


def _engine(name: str, plan: Plan) -> Any:
    from importlib.util import find_spec

    if name == "numba" or (name == "auto" and find_spec("numba") is not None):
        try:
            from volition.channel._frontend_numba import Kernel
        except ModuleNotFoundError as error:
            raise ConfigError(f"engine numba needs the extra [fast] ({error.name} is not installed)") from error
        return Kernel(plan)
    from volition.channel._frontend_numpy import Twin

    return Twin(plan)


class FrontEnd:
    """Voltage to crossings and spiking-band power, streaming.

    Args:
        config: settings, or None for the defaults.
        channels: width of the voltage.
        fs: sampling rate, Hz.
        bin_ns: width of a bin, ns.

    Raises:
        ConfigError: a filter, bin or array that does not fit `fs` and `channels`.
    """

    Config = FrontEndConfig

    def __init__(self, config: FrontEndConfig | None, channels: int, fs: float, bin_ns: int = 20_000_000) -> None:
        self.config = cfg = config or FrontEndConfig()
        if channels < 1:
            raise ConfigError(f"the front end needs at least one channel, got {channels}")
        self.channels, self.fs, self.bin_ns = channels, fs, bin_ns
        self._clock = BinClock(fs, bin_ns)
        self._plan = Plan(
            channels=channels,
            edges=array_edges(channels, cfg.array_size),
            reference=cfg.reference,
            spike=band_pass(4, cfg.band_hz, fs),
            power=band_pass(2, cfg.power_band_hz, fs),
            alpha=1.0 / (cfg.rms_time_s * fs),
            times_rms=cfg.threshold_rms,
            floor=cfg.threshold_floor_lsb,
            dead_samples=max(2, round(cfg.dead_time_ms * 1e-3 * fs)),
            rail_low=cfg.rail_low,
            rail_high=cfg.rail_high,
            longest_bin=self._clock.edge(1) + 1,
        )
        self._settle = round(cfg.settle_ms * 1e-3 * fs)
        self._hold = round(cfg.hold_us * 1e-6 * fs)
        self._weights: Float32 | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all history; keep the configuration and the fitted reference."""
        self._engine = _engine(self.config.engine, self._plan)
        self._engine.weights(self._weights)
        self._at = 0
        self._bin = 0
        self._exposed = 0
        self._held: list[tuple[int, int]] = []
        self._sick_until = np.zeros(self.channels, np.int64)
        self._good = np.ones(self.channels, bool)

    def warm_up(self) -> None:
        """Compile (or load) the kernels on silent samples, then forget them: call before a real clock runs."""
        for weights in {id(w): w for w in (self._weights, None)}.values():
            self._engine.weights(weights)
            self._engine.advance(np.zeros((4, self.channels), np.int16), np.ones(4, np.float32), np.full(4, -1, np.int32), 0)
        self._engine.finish_bin()
        self.reset()

    @property
    def sample(self) -> int:
        """Number of the next sample to come."""
        return self._at

    @property
    def bin(self) -> int:
        """Number of the bin that is being filled."""
        return self._bin

    def rms(self) -> Float64:
        """Running RMS of the spike band, LSB."""
        return np.asarray(np.sqrt(self._engine.mean_square()))

    def fit_reference(self, samples: NDArray[np.int16], ridge: float = 1e-3) -> None:
        """Learn the regression reference from a stretch of voltage (45 s is usual); it holds from the next sample on.

        Args:
            samples: `[samples, channels]` int16, free of stimulation.
            ridge: penalty as a fraction of an array's mean variance.
        """
        if self.config.reference != "regression":
            raise ConfigError(f"fit_reference needs reference=regression, not {self.config.reference}")
        du = np.diff(self._checked(samples).astype(np.float64), axis=0)
        self._weights = regression_weights(du, self._plan.edges, ridge)
        self._engine.weights(self._weights)

    def hold(self, pulses: NDArray[np.int64]) -> None:
        """Announce stimulation pulses by the sample at which each starts; what has already passed is not undone."""
        self._held += [(int(p), int(p) + self._hold) for p in np.unique(pulses) if int(p) + self._hold > self._at]

    def _checked(self, samples: NDArray[Any]) -> NDArray[np.int16]:
        if samples.ndim != 2 or samples.shape[1] != self.channels or samples.dtype != np.int16:
            raise InputError(
                f"voltage must be int16 [samples, {self.channels}], got {samples.dtype} {list(samples.shape)}; "
                "is it [channels, samples], or in another unit?"
            )
        return np.ascontiguousarray(samples)

    def _rows(self, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Which samples are exposed (1 or 0), and in which a crossing may be reported (-1 or 0)."""
        opened = np.ones(stop - start, np.float32)
        if self._held:
            self._held = [h for h in self._held if h[1] > start]
            for a, b in self._held:
                if a < stop:
                    opened[max(0, a - start) : b - start] = 0
        live = np.where(opened > 0, -1, 0).astype(np.int32)
        if start < self._settle:
            live[: self._settle - start] = 0
        return opened, live

    def process(self, samples: NDArray[np.int16]) -> list[Bin]:
        """Take the next samples.

        Args:
            samples: `[samples, channels]` int16, LSB; any number of them, a C-contiguous array is not copied.

        Returns:
            The bins that these samples completed, in order.

        Raises:
            InputError: wrong type or width.
        """
        x = self._checked(samples)
        done: list[Bin] = []
        a = 0
        while a < len(x):
            edge = self._clock.edge(self._bin + 1)
            b = min(len(x), a + edge - self._at)
            opened, live = self._rows(self._at, self._at + b - a)
            self._engine.advance(x[a:b], opened, live, self._at)
            self._exposed += int(opened.sum())
            self._at += b - a
            a = b
            if self._at == edge:
                done.append(self._finish())
        return done

    def _finish(self) -> Bin:
        cfg = self.config
        channel, sample, power, still, railed = self._engine.finish_bin()
        order = np.lexsort((channel, sample))
        start = self._clock.edge(self._bin)
        length, exposed = self._at - start, self._exposed
        self._exposed = 0
        sick = (railed > cfg.rail_fraction * exposed) | (still >= cfg.stuck_fraction * max(1, exposed))
        self._sick_until[sick] = self._at + round(cfg.recover_ms * 1e-3 * self.fs)
        good = self._sick_until <= start
        if (good != self._good).any():
            self._good = good
            self._engine.use(good)
        exposure = exposed / length
        mask = ~good if exposure >= cfg.min_exposure and self._at > self._settle else np.ones(self.channels, bool)
        out = Bin(
            index=self._bin,
            t_ns=round(self._at / self.fs * NS_PER_S),
            counts=np.bincount(channel, minlength=self.channels).astype(np.uint16),
            power=(power / max(1, exposed)).astype(np.float32),
            mask=mask,
            exposure=exposure,
            channel=channel[order],
            sample=sample[order],
        )
        self._bin += 1
        return out
