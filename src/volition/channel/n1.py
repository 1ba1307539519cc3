"""Implant at the level of voltage (N1 class): spikes become 10-bit voltage, and the front end finds them again.

Every bin, the spikes of the brain are put into calibrated noise (`_electrodes.py`) together with the artefacts of what the
stimulator delivers, and the front end (`_frontend.py`) gives threshold crossings, and on request spiking-band power. The
voltage of a brain that gives voltage (a wired rig) goes to the front end directly. Broken electrodes are found by the front
end itself and masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volition.channel._counts import CountChannel, StimulatorConfig, check_fractions
from volition.channel._electrodes import Electrodes, ElectrodesConfig
from volition.channel._frontend import Bin, FrontEnd, FrontEndConfig
from volition.channel._frontend_design import BinClock
from volition.errors import ConfigError, InputError
from volition.signal import Bool, Broadband, Features, Spikes, Stim
from volition.stage import Port, Setup, Spec

_SITE_UM2 = 336.0  # 14 x 24 µm, recalled from the literature
_GAP = -1  # no segment has this number: what comes after a gap has no history


@dataclass(frozen=True)
class N1Config(StimulatorConfig):
    """Electrodes and front end of the implant.

    Attributes:
        sampling_hz: 30,000 as wired rigs record, or 19,531 as the N1 does.
        power: whether spiking-band power follows the counts as a second half of the features.
        preset: electrodes to imitate: "n1", or a table (.json) made by `volition.train.voltage_preset`.
        snr: peak-to-peak of every unit over twice its channel's noise; 0: as recorded, where most units are faint.
        dead: part of the electrodes that are dead.
        railed: part that sit at a rail; negative: as recorded.
        reference: "common_average" or "none".
        array_size: neighbouring channels that share a reference: a multiple of 16, or 0 for all.
        threshold_rms: threshold in running RMS.
        warm_ms: how long the implant has been recording when a run begins; shorter than that, its threshold is not settled.
        engine: "numba" (extra `[fast]`), "numpy" (slow), or "auto".
    """

    sampling_hz: float = 30_000.0
    power: bool = False
    preset: str = "n1"
    snr: float = 0.0
    dead: float = 0.0
    railed: float = -1.0
    reference: str = "common_average"
    array_size: int = 64
    threshold_rms: float = 4.5
    warm_ms: float = 200.0
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what the parts would refuse.

        Raises:
            ConfigError: a value out of range.
        """
        super().__post_init__()
        check_fractions(self, "dead")
        if not self.warm_ms >= 0:
            raise ConfigError(f"n1: warm_ms must not be negative, got {self.warm_ms}")
        if self.reference == "regression":
            raise ConfigError(
                "n1: reference must be common_average or none; regression must be fitted (FrontEnd.fit_reference)"
            )
        self.electrodes_config()
        self.frontend_config()

    def electrodes_config(self) -> ElectrodesConfig:
        """The electrodes' part."""
        return ElectrodesConfig(
            preset=self.preset,
            array_size=self.array_size,
            snr=self.snr,
            dead=self.dead,
            railed=self.railed,
            engine=self.engine,
        )

    def frontend_config(self) -> FrontEndConfig:
        """The front end's part."""
        return FrontEndConfig(
            reference=self.reference,
            array_size=self.array_size,
            threshold_rms=self.threshold_rms,
            settle_ms=self.warm_ms,
            engine=self.engine,
        )


class N1(CountChannel):
    """Spikes -> voltage -> crossings.

    Attributes:
        exposure: part of the last bin in which the front end listened (the rest was held around stimulation pulses).
    """

    Config = N1Config
    exposure: float

    def __init__(self, config: N1Config | None = None) -> None:
        self.config = config or N1Config()
        super().__init__(self.config, area_um2=_SITE_UM2)
        self.exposure = 1.0

    @property
    def spec(self) -> Spec:
        """Counts in; counts, and where asked for as many powers, out."""
        n = self._channels
        if not self.config.power:
            return Spec(takes=Port(0, "counts"), gives=Port(n, "counts"))
        names = tuple(f"{kind}.{c}" for kind in ("counts", "power") for c in range(n))
        return Spec(takes=Port(0, "counts"), gives=Port(2 * n, "counts, LSB", names))

    def prepare(self, setup: Setup) -> None:
        """Make electrodes and front end, compile their kernels, and let the implant record at rest for `warm_ms`."""
        super().prepare(setup)
        cfg, n = self.config, setup.channels
        self._electrodes = Electrodes(cfg.electrodes_config(), n, cfg.sampling_hz, self._rng)
        self._front = FrontEnd(cfg.frontend_config(), n, cfg.sampling_hz, setup.bin_ns)
        self._electrodes.warm_up()
        self._front.warm_up()
        self.dead_channels = self._electrodes.dead | self._electrodes.railed
        self._any_dead = bool(self.dead_channels.any())
        self._clock = BinClock(cfg.sampling_hz, setup.bin_ns)
        self._next = np.zeros(self.electrodes)
        self._segment: int | None = None
        self._near = np.arange(self.electrodes) * n // max(1, self.electrodes)
        while self._front.sample < round(cfg.warm_ms * 1e-3 * cfg.sampling_hz):
            samples = self._samples()
            self._front.process(self._electrodes.voltage(self._electrodes.spontaneous(samples), samples))

    def _samples(self) -> int:
        """Length of the coming bin."""
        k = self._front.bin
        return self._clock.edge(k + 1) - self._clock.edge(k)

    def read(self, signal: Spikes | Broadband) -> Features:
        """Crossings of one bin, divided by the exposed part of it; masked: what broken electrodes and long artefacts hide.

        Raises:
            InputError: the number of channels changed, or voltage that is neither one bin long nor empty (it never came).
        """
        flowing = self.gate.poll(signal.t_ns)
        self._now_ns = signal.t_ns
        if isinstance(signal, Broadband) and not len(signal.samples):
            return self._missing(signal)
        self._follow(signal.segment)
        samples = self._samples()
        self._pulses(flowing, samples)
        if isinstance(signal, Broadband):
            if len(signal.samples) != samples:
                raise InputError(
                    f"n1: voltage of {len(signal.samples)} samples, but a bin here has {samples}; set sampling_hz"
                )
            voltage = signal.samples
        else:
            voltage = self._electrodes.voltage(signal, samples)
        (found,) = self._front.process(voltage)
        return self._features(found, signal)

    def _follow(self, segment: int) -> None:
        """After a border or a gap nothing that was heard before counts: filters and running RMS begin anew."""
        if self._segment not in (None, segment):
            self._front.reset()
            self._next[:] = 0
        self._segment = segment

    def _missing(self, signal: Broadband) -> Features:
        """A bin whose voltage never came."""
        self._segment = _GAP
        width = self.spec.gives.size
        return Features(signal.t_ns, np.full(width, np.nan, np.float32), np.ones(width, bool), signal.segment)

    def _features(self, found: Bin, signal: Spikes | Broadband) -> Features:
        self.exposure = found.exposure
        x = found.counts.astype(np.float32)
        if 0 < found.exposure < 1:
            x /= np.float32(found.exposure)
        mask = found.mask
        if isinstance(signal, Spikes) and signal.missing.size:
            mask = mask | signal.missing
        if self.config.power:
            x, mask = np.concatenate([x, found.power]), np.concatenate([mask, mask])
        x[mask] = np.nan
        return Features(signal.t_ns, x, mask, signal.segment)

    def _pulses(self, flowing: Stim, samples: int) -> None:
        """Artefacts, and the holds against them, of the pulses that fall into the coming bin."""
        start, stop = self._front.sample, self._front.sample + samples
        on = np.nonzero((flowing.amplitude_ua > 0) & (flowing.frequency_hz > 0))[0]
        self._next[flowing.amplitude_ua <= 0] = 0
        if on.size == 0:
            return
        self._next[on] = np.maximum(self._next[on], start)
        period = self.config.sampling_hz / flowing.frequency_hz[on]
        number = np.maximum(0, np.ceil((stop - self._next[on]) / period)).astype(int)
        who = np.repeat(np.arange(on.size), number)
        rank = np.arange(who.size) - np.repeat(np.cumsum(number) - number, number)
        at: NDArray[np.int64] = np.floor(self._next[on][who] + rank * period[who]).astype(np.int64)
        self._next[on] += number * period
        for t in np.unique(at):
            electrode = on[who[at == t]]
            self._electrodes.stimulate(int(t), self._near[electrode], flowing.amplitude_ua[electrode])
        self._front.hold(np.unique(at))

    def _draw_dead(self, rng: np.random.Generator) -> Bool:
        return np.zeros(self._channels, np.bool_)

    def _lost(self, rng: np.random.Generator) -> Bool | None:
        return None
