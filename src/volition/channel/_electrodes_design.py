"""What a channel of simulated voltage is made of, in numbers both engines share.

    v = hash + pink + potential + line + spikes + artefact,  code = ADC(v + offset)

- hash, the unresolved activity round the electrode: white noise through one pole at 1,260 Hz, plus a white floor;
- pink: white noise through one pole at 120 Hz. The two, with free amplitudes, follow the mean spectrum of 119 N1 electrodes
  from 250 to 9,700 Hz within a few per cent;
- potential: four processes, white noise through ρ(1 - z⁻¹)/(1 - ρz⁻¹)³ with poles at 2.5, 14, 45 and 110 Hz, at about 1 kHz
  and joined by straight lines; a part of their variance is shared by an array;
- line noise;
- spikes: one unit per channel, seen by its neighbours on the thread.

Noise comes from a shift register (Marsaglia 2003, 13/17/5) plus a Weyl sequence with an own odd step per channel, so that no
two channels run through the same numbers at any lag; the bytes of a word are added in pairs to two sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volition.channel._frontend_design import band_pass
from volition.signal import Float32, Float64

HASH_HZ, PINK_HZ, FLOOR = 1260.0, 120.0, 0.04
"""Poles of hash and pink, Hz; white floor of the hash per unit of its input, at the recordings' sampling rate."""
RECORDED_HZ = 19_531.0
POTENTIAL_HZ = (2.5, 14.0, 45.0, 110.0)
TICK_HZ = 1000.0
BANDS_HZ = (0.0, 5.0, 30.0, 100.0, 250.0, 1000.0, 5000.0)
"""Lower edges of the seven bands in which real and simulated voltage are compared; the last ends at 9,765 Hz."""
TOP_HZ = 9765.0
PAIR_VARIANCE = 2 * (256**2 - 1) / 12
"""Variance of the sum of two independent bytes."""
TEMPLATE_MS, TROUGH_MS = 2.2, 0.35
SHAPES = (
    (0.06, -0.45, 0.2),
    (0.07, -0.3, 0.55),
    (0.085, -0.3, 0.3),
    (0.12, -0.45, 0.4),
    (0.12, -0.3, 0.2),
    (0.1, 0.15, 0.2),
)
"""Width of the trough (standard deviation, ms), height and delay (ms) of the slower part; chosen on 22 mean waveforms."""
PHASES = 4
"""Sub-sample positions of a spike."""


@dataclass(frozen=True, eq=False)
class Rates:
    """Constants that depend on the sampling rate.

    Attributes:
        tick: samples between two values of the potential.
        hash_pole: and
        pink_pole: and
        potential_pole: `[4]` of the filters.
        floor: weight of the white floor in the hash.
        unit: `[6]` amplitude per unit of each process (potential 0..3, pink, hash) that gives 1 LSB² in its own band.
    """

    tick: int
    hash_pole: float
    pink_pole: float
    potential_pole: Float64
    floor: float
    unit: Float64


def _power(pole: float, fs: float, low: float, high: float, floor: float = 0.0, slow: bool = False) -> float:
    """Power in a band of white noise through 1/(1 - pole·z⁻¹) + floor, or (`slow`) through the potential's filter."""
    f = np.linspace(low, min(high, fs / 2), 2001)
    delay = np.exp(-2j * np.pi * f / fs)
    response = np.abs(1 / (1 - pole * delay) + floor) ** 2
    if slow:
        response = np.abs(pole * (1 - delay) / (1 - pole * delay) ** 3) ** 2 * np.sinc(f / fs) ** 4
    return float(np.trapezoid(response, f)) * 2 * PAIR_VARIANCE / fs


def _floor(pole: float, fs: float) -> float:
    """White floor at which the hash's power above 5 kHz, relative to 1-5 kHz, is that at the recordings' sampling rate."""
    recorded = float(np.exp(-2 * np.pi * HASH_HZ / RECORDED_HZ))

    def above(p: float, rate: float, floor: float) -> float:
        return _power(p, rate, 5000.0, TOP_HZ, floor) / _power(p, rate, 1000.0, 5000.0, floor)

    wanted = above(recorded, RECORDED_HZ, FLOOR)
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if above(pole, fs, middle) < wanted else (low, middle)
    return (low + high) / 2


def rates(fs: float) -> Rates:
    """Constants for a sampling rate, Hz."""
    tick = max(1, round(fs / TICK_HZ))
    slow = fs / tick
    poles = np.exp(-2 * np.pi * np.array(POTENTIAL_HZ) / slow)
    hash_pole, pink_pole = (float(np.exp(-2 * np.pi * hz / fs)) for hz in (HASH_HZ, PINK_HZ))
    floor = _floor(hash_pole, fs)
    edges = (*BANDS_HZ, TOP_HZ)
    power = [_power(p, slow, edges[j], edges[j + 1], slow=True) for j, p in enumerate(poles)]
    power += [_power(pink_pole, fs, 250.0, 1000.0), _power(hash_pole, fs, 1000.0, 5000.0, floor)]
    return Rates(tick, hash_pole, pink_pole, poles, floor, 1 / np.sqrt(np.array(power)))


def templates(fs: float) -> Float32:
    """Shapes of extracellular spikes: a trough of depth 1 and a slower part, of the same sign on most N1 electrodes.

    Returns:
        `[6, PHASES, samples]` float32; the trough stands 0.35 ms after the start.
    """
    samples = int(np.ceil(TEMPLATE_MS * 1e-3 * fs))
    phase = np.arange(PHASES)[:, None] / PHASES
    t = (np.arange(samples) + 1 - phase) / fs * 1e3 - TROUGH_MS
    out = []
    for width, after, late in SHAPES:
        w = -np.exp(-0.5 * (t / width) ** 2) + after * np.exp(-0.5 * ((t - late) / (0.5 * late)) ** 2)
        out.append(w / -w.min(axis=1, keepdims=True))
    return np.array(out, np.float32)


def filtered_templates(fs: float) -> Float64:
    """The templates as they look behind the spike filter (250-5,000 Hz), `[6, samples]`, 40 samples added on either side."""
    from scipy.signal import sosfilt

    sos = band_pass(4, (250.0, 5000.0), fs).sos
    return np.array([sosfilt(sos, np.pad(w[0], (40, 40))) for w in templates(fs)])


def spike_band_noise(power: Float64, fs: float) -> Float64:
    """Standard deviation in 250-5,000 Hz, LSB, of pink and hash of `[n, 2]` power in their own bands."""
    at = rates(fs)
    pink = _power(at.pink_pole, fs, 250.0, 5000.0) / _power(at.pink_pole, fs, 250.0, 1000.0)
    rest = _power(at.hash_pole, fs, 250.0, 5000.0, at.floor) / _power(at.hash_pole, fs, 1000.0, 5000.0, at.floor)
    return np.asarray(np.sqrt(power @ np.array([pink, rest])))


def artefact(fs: float) -> Float32:
    """Voltage after a biphasic pulse, 200 µs per phase, in units of its height: the phases, then a tail of 0.25 ms."""
    t = (np.arange(int(np.ceil(TEMPLATE_MS * 1e-3 * fs))) + 0.5) / fs * 1e3
    w = np.where(t < 0.2, 1.0, np.where(t < 0.4, -1.0, 0.3 * np.exp(-(t - 0.4) / 0.25)))
    w[-1] = 0.0
    return w.astype(np.float32)


def seeds(rng: np.random.Generator, n: int) -> NDArray[np.uint32]:
    """`[3, n]` state of n noise sources: register (never 0), Weyl sum, Weyl step (odd, no two alike)."""
    start = rng.integers(1, 2**32, n, dtype=np.uint64)
    weyl = rng.integers(0, 2**32, n, dtype=np.uint64)
    step = (np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B2) + np.uint64(2 * rng.integers(2**31) + 1)) % np.uint64(
        2**32
    )
    return np.array([start, weyl, step]).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Sources:
    """Everything an engine needs to make voltage; channels are padded to a multiple of 16 with silent ones.

    Attributes:
        channels: padded number of channels.
        array_of: `[channels // 16]` number of the array that a group of 16 belongs to.
        rates: constants of the sampling rate.
        seed: `[3, channels]` noise sources of hash and pink.
        seed_own: `[3, channels]`, of the potential, and
        seed_shared: `[3, arrays padded]`, of the arrays' part.
        own: `[4, channels]` and
        shared: `[4, channels]` amplitudes of the potential's processes.
        line: `[2, channels]` amplitudes of sine and cosine at line frequency.
        pink: and
        hash: `[channels]` amplitudes.
        offset: `[channels]` LSB.
        template: `[6, PHASES, samples]`.
        width: `[channels]` which of the six a unit has.
        first: `[channels]` first channel that sees its unit, and
        gain: `[channels, neighbours]` how strongly, from there on.
        artefact: `[samples]` shape after a stimulation pulse.
        table: `[16384]` codes, from `_adc.lookup`.
    """

    channels: int
    array_of: NDArray[np.int64]
    rates: Rates
    seed: NDArray[np.uint32]
    seed_own: NDArray[np.uint32]
    seed_shared: NDArray[np.uint32]
    own: Float32
    shared: Float32
    line: Float32
    pink: Float32
    hash: Float32
    offset: Float32
    template: Float32
    width: NDArray[np.int64]
    first: NDArray[np.int64]
    gain: Float32
    artefact: Float32
    table: NDArray[np.int16]

    @property
    def ring(self) -> int:
        """Rows of the ring buffer in which spikes wait: a power of two that holds a tick and a template."""
        need = self.rates.tick + self.template.shape[2] + 1
        return 1 << int(need - 1).bit_length()


@dataclass(frozen=True, eq=False)
class Happenings:
    """What happens in a stretch of voltage, sorted by sample; samples count from the start of the run.

    Attributes:
        sample: and
        channel: and
        phase: and
        height: of spikes (trough in LSB), `[n]` each.
        pulse: samples at which a stimulation pulse starts, `[m]`, and
        pulse_height: `[m, channels]` LSB.
        line: `[ticks, 2]` sine and cosine of the line at the end of each tick interval that begins here.
    """

    sample: NDArray[np.int64]
    channel: NDArray[np.int64]
    phase: NDArray[np.int64]
    height: Float32
    pulse: NDArray[np.int64]
    pulse_height: Float32
    line: Float32
