"""Decoders with the same simulated persons, in parallel: how well each decodes, and how well it controls.

    python examples/compare_decoders.py [seconds [persons]]

`random` shows what luck gives, `oracle` (the true intent in a decoder's place) what the person and the body could do with a
perfect decoder. A seed is a person: other neurons, other noise, another order of targets. `volition compare` does the same
from the command line, keeps each result as soon as it is there, and writes a page.
"""

import sys
import tempfile

from volition.loop.calibrate import Calibration
from volition.train.compare import agreement, compare, plan, table

DECODERS = {
    "random": "random",
    "kalman": "kalman",
    "wiener": ("wiener", {"history_ms": [200.0], "penalties": [1000.0], "ratios": [1.0]}),
    "oracle": "oracle",
}


def main(seconds: float = 30.0, persons: int = 3) -> None:
    units = plan(
        DECODERS, seeds=range(persons), seconds=seconds, open_s=10.0, channel="utah96", calibration=Calibration(20.0)
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(units, folder, workers=2)
    print(f"{persons} simulated persons, 96 channels, cursor, {seconds:g} s each")
    print(f"{'decoder':<10}{'success':>8}{'bit/s':>8}  {'(95 % interval)':<18}{'open-loop R²':>12}")
    for row in table(rows):
        low, high = row["bit_rate_bit_s_low"], row["bit_rate_bit_s_high"]
        interval = "" if low is None else f"{low:.2f} .. {high:.2f}"
        r2 = "-" if row["r2"] is None else f"{row['r2']:.2f}"
        print(f"{row['decoder']:<10}{row['success']:>8.0%}{row['bit_rate_bit_s']:>8.2f}  {interval:<18}{r2:>12}")
    for pair in agreement(rows)[0]["disagree"]:
        print(f"open loop prefers {pair['by_r2']}, closed loop {pair['by_control']}; certain: {pair['certain']}")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((float, int), sys.argv[1:], strict=False)))
