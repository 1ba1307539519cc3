"""Fit the simulated electrodes to recorded voltage: python -m volition.train.voltage_preset FOLDER [--out FOLDER].

Reads mono 16-bit WAV files that hold 10-bit codes in their upper bits, one electrode a file (the layout of the Neuralink
compression challenge), measures noise, seven band powers, crossings and spike shape of each, learns the code widths of the
converter, and adjusts one row per electrode until simulated voltage, measured by the same code, agrees. Writes
`_electrodes_n1.json` and `_adc_n1.json`; those in `volition/channel` were made by this command.
"""

from __future__ import annotations

import argparse
import json
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._adc import CODES, learn_widths
from volition.channel._electrodes import Electrodes, ElectrodesConfig
from volition.channel._electrodes_design import BANDS_HZ, TOP_HZ, filtered_templates
from volition.channel._electrodes_preset import Preset
from volition.channel._frontend import FrontEnd, FrontEndConfig
from volition.channel._frontend_design import band_pass
from volition.errors import InputError, VolitionError
from volition.signal import Float64

ACTIVE_HZ = 2.0
_SETTLE_S = 0.5


@dataclass(frozen=True, eq=False)
class Measured:
    """What was found on each of n electrodes.

    Attributes:
        power: `[7, n]` LSB² in the bands that begin at `BANDS_HZ`.
        noise: `[n]` median |y| / 0.6745 in 250-5,000 Hz, LSB.
        rate_hz: `[n]` threshold crossings per second (no reference, -4.5 RMS).
        snr: `[n]` peak-to-peak of the mean waveform at crossings over twice the noise; NaN below 2 crossings a second.
        offset: `[n]` mean, LSB.
        shape: `[n, samples]` that mean waveform, -0.5..1.5 ms (zero where there is none).
    """

    power: Float64
    noise: Float64
    rate_hz: Float64
    snr: Float64
    offset: Float64
    shape: Float64


def read(folder: Path) -> tuple[NDArray[np.int16], float, list[str]]:
    """Codes `[samples, files]` of all WAV files in a folder, cut to the shortest; sampling rate, Hz; names.

    Raises:
        InputError: no WAV files, or files that differ in rate or are not mono 16-bit.
    """
    columns, rates, names = [], set(), []
    for path in sorted(folder.glob("*.wav")):
        try:
            with wave.open(str(path)) as w:
                if w.getnchannels() != 1 or w.getsampwidth() != 2:
                    raise InputError(f"{path}: expected mono 16-bit")
                rates.add(float(w.getframerate()))
                columns.append(np.frombuffer(w.readframes(w.getnframes()), "<i2") >> 6)
        except (wave.Error, EOFError) as error:
            raise InputError(f"{path}: not a WAV file ({error})") from None
        names.append(path.name)
    if len(rates) != 1:
        raise InputError(f"{folder}: expected WAV files of one sampling rate, found {sorted(rates) or 'none'}")
    shortest = min(len(c) for c in columns)
    return np.ascontiguousarray(np.stack([c[:shortest] for c in columns], axis=1), np.int16), rates.pop(), names


def usable(x: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Electrodes that are at a rail in less than 1 % of the samples."""
    return np.asarray(((x <= -CODES // 2) | (x >= CODES // 2 - 1)).mean(axis=0) < 0.01)


def measure(x: NDArray[np.int16], fs: float) -> Measured:
    """Measure `[samples, electrodes]` codes; the first half second serves the filters to settle."""
    from scipy.signal import sosfilt

    n = len(x)
    mean = x.mean(axis=0, dtype=float)
    window = np.hanning(n)
    f = np.fft.rfftfreq(n, 1 / fs)
    power = np.empty((len(BANDS_HZ), x.shape[1]))
    edges = np.searchsorted(f, (*BANDS_HZ, TOP_HZ))
    noise, snr = np.empty(x.shape[1]), np.full(x.shape[1], np.nan)
    before, after = round(0.0005 * fs), round(0.0015 * fs)
    shape = np.zeros((x.shape[1], before + after))
    front = FrontEnd(FrontEndConfig(reference="none", array_size=0, settle_ms=1e3 * _SETTLE_S), x.shape[1], fs)
    bins = front.process(x)
    sample, channel = np.concatenate([b.sample for b in bins]), np.concatenate([b.channel for b in bins])
    settled = round(_SETTLE_S * fs)
    rate = np.bincount(channel, minlength=x.shape[1]) * fs / (front._clock.edge(len(bins)) - settled)
    sos = band_pass(4, (250.0, 5000.0), fs).sos
    for c in range(x.shape[1]):
        u = x[:, c] - mean[c]
        density = np.abs(np.fft.rfft(u * window)) ** 2 * 2 / (fs * (window**2).sum()) * f[1]
        power[:, c] = np.add.reduceat(density[: edges[-1]], edges[:-1])
        y = sosfilt(sos, x[:, c].astype(float) - float(x[0, c]))
        noise[c] = np.median(np.abs(y[settled:])) / 0.6745
        at = sample[(channel == c) & (sample + after < n)]
        if rate[c] >= ACTIVE_HZ and at.size:
            shape[c] = y[at[:, None] + np.arange(-before, after)].mean(axis=0)
            snr[c] = np.ptp(shape[c]) / (2 * noise[c])
    return Measured(power, noise, rate, snr, mean, shape)


def average(made: Sequence[Measured]) -> Measured:
    """One figure per electrode from several stretches; powers by their geometric mean, so that single bursts do not rule."""
    snr = np.array([m.snr for m in made])
    seen = np.isfinite(snr)
    mean_snr = np.where(seen, snr, 0.0).sum(axis=0) / np.maximum(1, seen.sum(axis=0))
    return Measured(
        power=np.exp(np.mean([np.log(m.power) for m in made], axis=0)),
        noise=np.mean([m.noise for m in made], axis=0),
        rate_hz=np.mean([m.rate_hz for m in made], axis=0),
        snr=np.where(seen.mean(axis=0) > 0.4, mean_snr, np.nan),
        offset=np.mean([m.offset for m in made], axis=0),
        shape=np.mean([m.shape for m in made], axis=0),
    )


def pool(made: Sequence[Measured]) -> Measured:
    """All electrodes of several stretches side by side: what a set of recordings is compared with."""
    return Measured(
        **{
            f.name: np.concatenate([getattr(m, f.name) for m in made], axis=-1 if f.name == "power" else 0)
            for f in fields(Measured)
        }
    )


def compare(real: Measured, simulated: Measured) -> list[tuple[str, float, float]]:
    """Rows of (what, recorded, simulated): noise, band shares, crossing rates, signal to noise."""

    def quantiles(name: str, of: Any, points: Sequence[float]) -> list[tuple[str, float, float]]:
        rows: list[tuple[str, float, float]] = []
        for q in points:
            near = q + 0.4 * min(q, 1 - q) * np.linspace(
                -1, 1, 21
            )  # five seconds give coarse rates: a quantile is a mean round it
            a, b = (float(np.nanquantile(of(m), near).mean()) for m in (real, simulated))
            rows.append((f"{name} p{100 * q:.0f}", a, b))
        return rows

    def share(m: Measured) -> Float64:
        return np.asarray((m.power / m.power.sum(axis=0)).mean(axis=1))

    edges = [f"{hz:g}" for hz in (*BANDS_HZ, TOP_HZ)]
    rows = quantiles("noise LSB", lambda m: m.noise, (0.05, 0.5, 0.95))
    rows += [
        (f"share {edges[k]}-{edges[k + 1]} Hz", float(a), float(b))
        for k, (a, b) in enumerate(zip(share(real), share(simulated), strict=True))
    ]
    rows += quantiles("crossings Hz", lambda m: m.rate_hz, (0.5, 0.75, 0.9, 0.95))
    rows.append(("crossings Hz mean", float(real.rate_hz.mean()), float(simulated.rate_hz.mean())))
    return rows + quantiles("SNR", lambda m: m.snr, (0.1, 0.5, 0.9))


def simulate(preset: str, channels: int, fs: float, seconds: float, seed: int) -> NDArray[np.int16]:
    """`[samples, channels]` of a preset at rest, no broken channels, after half a second of warming up."""
    cfg = ElectrodesConfig(preset=preset, railed=0.0, array_size=0)
    electrodes = Electrodes(cfg, channels, fs, np.random.default_rng(seed))
    step = round(0.02 * fs)
    chunks = [electrodes.voltage(electrodes.spontaneous(step), step) for _ in range(round((seconds + 0.5) / 0.02))]
    return np.ascontiguousarray(np.concatenate(chunks)[round(0.5 * fs) :])


def _widths(shape: Float64, fs: float) -> NDArray[np.int64]:
    """Which template, filtered as the recording was, looks most like each mean waveform (aligned at the trough)."""
    kinds = filtered_templates(fs)
    out = np.arange(len(shape)) % 3
    for c in np.nonzero(shape.any(axis=1))[0]:
        t = int(np.clip(shape[c].argmin(), 4, shape.shape[1] - 13))
        part = shape[c, t - 4 : t + 12]
        out[c] = int(np.argmax([np.corrcoef(part, k[k.argmin() - 4 : k.argmin() + 12])[0, 1] for k in kinds]))
    return out


def fit(x: NDArray[np.int16], fs: float, scratch: Path, rounds: int = 10) -> Preset:
    """Adjust one row per electrode until simulation and recording measure alike.

    Each round simulates every row, measures it as the recording was measured, and multiplies each process by the ratio of
    the powers in its band and each rate by the ratio of the crossings. The trough follows the signal-to-noise figure where
    that is above 4.8; below, the figure says little (only what crosses is averaged), and the trough grows only where too few
    of a unit's spikes cross.

    Args:
        x: `[samples, electrodes]` codes, usable electrodes only.
        fs: sampling rate, Hz.
        scratch: folder for the tables in between.
        rounds: how often.
    """
    real = measure(x, fs)
    tall = np.nan_to_num(real.snr, nan=0.0) > 4.8
    width = _widths(real.shape, fs)
    kinds = filtered_templates(fs)[width]
    depth = np.where(tall, np.nan_to_num(real.snr, nan=0.0) * 2 / np.ptp(kinds, axis=1), 5.2 / -kinds.min(axis=1))
    rate = np.maximum(real.rate_hz, 0.05)
    preset = Preset(real.power[:6].T.copy(), real.offset, rate, depth * real.noise, width, 0.0)
    table = scratch / "fit.json"
    for k in range(rounds):
        table.write_text(preset.as_json(), encoding="utf-8")
        made = average([measure(simulate(str(table), x.shape[1], fs, len(x) / fs, seed=10 * k + i), fs) for i in range(3)])
        step = 0.9 if k < rounds // 2 else 0.5
        ratio = np.clip(real.power[:6] / made.power[:6], 0.2, 3.0) ** step
        more = np.clip((real.rate_hz + 0.1) / (made.rate_hz + 0.1), 0.4, 2.5) ** step
        rate = np.clip(preset.rate_hz * more, 0.02, 2 * real.rate_hz + 0.2)
        missed = (made.rate_hz < 0.5 * preset.rate_hz) & (made.rate_hz < 0.8 * real.rate_hz)
        bigger = np.where(
            missed, 1.05, np.where(tall, np.clip(np.nan_to_num(real.snr / made.snr, nan=1.0), 0.7, 1.4) ** step, 1.0)
        )
        preset = replace(preset, power=preset.power * ratio.T, trough=preset.trough * bigger, rate_hz=rate)
    table.unlink()
    return preset


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, compare, write."""
    import tempfile

    parser = argparse.ArgumentParser(
        prog="python -m volition.train.voltage_preset", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("folder", type=Path, help="folder of WAV files, one electrode each")
    parser.add_argument("--out", type=Path, default=Path(), help="where the two tables go (default: here)")
    args = parser.parse_args(argv)
    try:
        x, fs, _ = read(args.folder)
        good = usable(x)
        histogram = np.bincount(x[:, good].ravel().astype(np.int64) + CODES // 2, minlength=CODES)
        width = [round(64 * float(w)) for w in learn_widths(histogram)]
        with tempfile.TemporaryDirectory() as scratch:
            preset = replace(fit(x[:, good], fs, Path(scratch)), railed=float(1 - good.mean()))
        args.out.mkdir(parents=True, exist_ok=True)
        table = args.out / "_electrodes_n1.json"
        table.write_text(preset.as_json(), encoding="utf-8")
        (args.out / "_adc_n1.json").write_text(json.dumps({"width_1_64_lsb": width}) + "\n", encoding="utf-8")
        made = pool([measure(simulate(str(table), int(good.sum()), fs, len(x) / fs, seed), fs) for seed in (1, 2, 3, 4)])
    except (VolitionError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{'':22s} {'recorded':>9s} {'simulated':>9s}  ratio")
    for what, real, sim in compare(measure(x[:, good], fs), made):
        print(f"{what:22s} {real:9.3f} {sim:9.3f}  {sim / real:5.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
