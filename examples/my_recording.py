"""Your own recording: fit a decoder on its first part, score it on the rest, and let the recording think in the loop.

    python examples/my_recording.py

The recording here is made up (30 units tuned to a hand that moves smoothly at random), so that the example needs no file;
one of yours is `volition.read("session.mat")`. In the loop it drives the decoder and the cursor, but nothing that happens
there reaches it: the loop is open.
"""

from functools import partial

import numpy as np

from volition import Loop, Recording, find

BIN_S = 0.02


def made_up(seconds: float = 120.0, units: int = 30, seed: int = 0) -> Recording:
    """Poisson counts of cosine-tuned units (Georgopoulos et al. 1982) and the hand's velocity, m/s."""
    rng = np.random.default_rng(seed)
    bins = round(seconds / BIN_S)
    kernel = np.hanning(51) / np.hanning(51).sum()
    velocity = np.stack([np.convolve(rng.normal(size=bins), kernel, mode="same") for _ in range(2)], axis=1)
    velocity *= 0.1 / velocity.std()
    angle = rng.uniform(0, 2 * np.pi, units)
    preferred = np.stack([np.cos(angle), np.sin(angle)])
    rate_hz = np.maximum(0, 12 + 60 * velocity @ preferred)
    return Recording(
        counts=rng.poisson(rate_hz * BIN_S),
        bin_ns=round(BIN_S * 1e9),
        kinematics={"velocity": velocity, "position": np.cumsum(velocity, axis=0) * BIN_S},
        units={"velocity": "m/s", "position": "m"},
        segment=np.repeat(np.arange(4, dtype=np.int32), bins // 4),  # four blocks; nothing is lagged across a border
        name="made up",
    )


def r2(truth: np.ndarray, guess: np.ndarray) -> float:
    """Variance-weighted coefficient of determination."""
    return 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()


def note(kept: list, loop: Loop) -> None:
    """After each bin: the recorded velocity, and the cursor's."""
    kept.append((loop.last.intended[:2], loop.last.body.velocity))


def main() -> None:
    recording = made_up()
    velocity = recording.kinematics["velocity"]
    train, test = slice(0, round(0.8 * recording.bins)), slice(round(0.8 * recording.bins), None)
    brain = find("brain", "replay")(recording=recording)

    print(f"{recording.name}: {recording.bins} bins, {recording.channels} units; scores of the last fifth")
    print(f"{'decoder':<10}{'R² of velocity':>16}{'hand ~ cursor in the loop':>28}")
    for name in ("random", "kalman", "wiener"):
        loop = Loop(brain=brain, channel="ideal", decoder=name, effector="cursor", seed=0)  # prepares the decoder
        decoder, width = loop.decoder, len(loop.setup.intent)
        if hasattr(decoder, "fit"):
            y = np.zeros((recording.bins, width))
            y[:, :2] = velocity
            decoder.fit(recording.counts[train], None, y[train], recording.segment[train])
        guess = decoder.predict(recording.counts[test], None, recording.segment[test])[:, :2]
        hand_and_cursor = []
        loop.run(recording.bins * BIN_S, watch=partial(note, hand_and_cursor))
        hand, cursor = np.array(hand_and_cursor)[test].transpose(1, 0, 2)
        correlation = np.corrcoef(hand.ravel(), cursor.ravel())[0, 1]
        print(f"{name:<10}{r2(velocity[test], guess):>16.2f}{correlation:>28.2f}")


if __name__ == "__main__":
    main()
