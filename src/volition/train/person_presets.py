"""Make the preset `n1` from `utah_m1`: python -m volition.train.person_presets UTAH_M1.json [--out FOLDER].

`utah_m1` was saved by `volition calibrate m1_stevenson_2011.mat --populations 0 --exponent 1 --output utah_m1.json` (the M1
session of Stevenson et al. 2011). Made today, rates and tuning are the same to the digit; the noise is not, because its
scaling has changed since (loadings 4 % larger). `n1` has the rates that were measured on 743 recordings of 5 s made with the
N1's electrodes in monkey M1, and everything else from `utah_m1`: tuning and noise of a spike are assumed to be alike, since
the published N1 recordings come without movement. That in `volition/brain/presets` was made by this command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from volition.brain._preset import Preset
from volition.errors import VolitionError

# Threshold crossings at -4.5 RMS, measured: median 0.5 a second, 32 % of the channels at 2 or more, 90th percentile 8.5,
# 95th 9.9, 99th 31. The two ends are assumptions; they set the mean to 2.9 (measured: 2.4-3.2).
N1_PROBABILITY = (0.0, 0.5, 0.68, 0.9, 0.95, 0.99, 1.0)
N1_RATE_HZ = (0.02, 0.5, 2.0, 8.5, 9.9, 31.0, 60.0)


def n1(utah: Preset) -> Preset:
    """The same population as the N1's electrodes hear it: their rates, each in the place of the rate of the same rank."""
    at = np.unique(np.round(np.r_[utah.probability, np.array(N1_PROBABILITY)], 6)).astype(np.float64)
    quantiles = np.array([np.interp(at, utah.probability, q) for q in utah.quantiles])
    quantiles[0] = np.interp(at, N1_PROBABILITY, np.log(N1_RATE_HZ))
    about = f"rates of 743 recordings with N1 electrodes; tuning and noise a spike assumed as in: {utah.about}"
    return replace(utah, about=about, probability=at, quantiles=quantiles)


def main(argv: Sequence[str] | None = None) -> int:
    """Read one, write the other."""
    parser = argparse.ArgumentParser(
        prog="python -m volition.train.person_presets", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("file", help="the preset utah_m1")
    parser.add_argument("--out", type=Path, default=Path(), help="where n1.json goes (default: here)")
    args = parser.parse_args(argv)
    try:
        made = n1(Preset.load(args.file))
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "n1.json").write_text(made.as_json(), encoding="utf-8")
    except (VolitionError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{args.out / 'n1.json'}: {made.about}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
