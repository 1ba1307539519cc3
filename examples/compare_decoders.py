"""One person after the other, each with three decoders: guessing, Kalman, and the true intent.

    python examples/compare_decoders.py [seconds [persons]]

`random` shows what luck gives, `oracle` (an option of the loop: the true intent moves the body) what the person and the body
could do with a perfect decoder. A seed is a person: other neurons, other noise, another order of targets.
"""

import sys

import numpy as np

from volition import Loop, LoopConfig


def run(decoder: str, seed: int, seconds: float, oracle: bool = False) -> dict[str, float]:
    """The score of one person with one decoder."""
    with Loop(channel="utah96", decoder=decoder, config=LoopConfig(oracle=oracle), seed=seed) as loop:
        if not oracle:
            loop.calibrate()
        return loop.run(seconds).score


def main(seconds: float = 30.0, persons: int = 3) -> None:
    print(f"{persons} simulated persons, 96 channels, cursor, {seconds:g} s each")
    print(f"{'decoder':<10}{'success':>10}{'bit/s':>8}  {'(each person)':<24}{'path eff.':>10}")
    for name, decoder, oracle in (("random", "random", False), ("kalman", "kalman", False), ("oracle", "kalman", True)):
        scores = [run(decoder, seed, seconds, oracle) for seed in range(persons)]
        bits = [score["bit_rate_bit_s"] for score in scores]
        success, efficiency = (np.mean([score[key] for score in scores]) for key in ("success", "path_efficiency"))
        each = " ".join(f"{b:.2f}" for b in bits)
        print(f"{name:<10}{success:>10.0%}{np.mean(bits):>8.2f}  {each:<24}{efficiency:>10.2f}")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((float, int), sys.argv[1:], strict=False)))
