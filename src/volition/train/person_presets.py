"""Make the presets that ship: python -m volition.train.person_presets FILE [--out FOLDER].

`utah_m1` is fitted to the recording (the M1 session of Stevenson et al. 2011, `m1_stevenson_2011.mat`). `n1` has the rates
that were measured on 743 recordings of 5 s made with the N1's electrodes in monkey M1, and everything else from `utah_m1`:
tuning and noise of a spike are assumed to be alike, because the published N1 recordings come without movement. Those in
`volition/brain/presets` were made by this command.
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
    """Fit and write both."""
    from volition.io.read import read
    from volition.train.person_compare import calibrated

    parser = argparse.ArgumentParser(
        prog="python -m volition.train.person_presets", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("file", type=Path, help="the recording that utah_m1 is fitted to")
    parser.add_argument("--out", type=Path, default=Path(), help="where the two presets go (default: here)")
    args = parser.parse_args(argv)
    try:
        utah = calibrated(read(args.file))
        args.out.mkdir(parents=True, exist_ok=True)
        for name, preset in (("utah_m1", utah), ("n1", n1(utah))):
            (args.out / f"{name}.json").write_text(preset.as_json(), encoding="utf-8")
            print(f"{args.out / name}.json: {preset.about}")
    except (VolitionError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
