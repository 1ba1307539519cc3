"""Trains the networks: first one alone on the first part of the data, to see when to stop, then all of them on everything.

    loss = mean (y_t - y'_t)² + a mean over d of mean (y_{t+d} - y'_{t,d})² + 0.5 mean (logvar + (y_t - y'_t)² / exp logvar)

on standardised targets. The second term asks for the bins around too, of which only training knows anything; the third, in
which y' is held fixed, teaches how large the squared error is to be expected (Nix & Weigend 1994) and nothing else. By
AdamW (Loshchilov & Hutter 2019) along a cosine; what is kept are weights averaged over the last steps (Polyak & Juditsky
1992). The errors on the last part, which the network alone had not seen, correct what is expected of errors.

Everything random comes from one seed; what PyTorch draws elsewhere is not disturbed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder import _ridge as ridge
from volition.decoder import _windows as windows
from volition.decoder._checkpoint import Checkpoint, Descent, Trained
from volition.decoder._graph import DEN_FLOOR, SHARE_FLOOR
from volition.decoder._sequence import Ints
from volition.errors import MissingExtraError
from volition.signal import Bool, Float32, Float64

Progress = Callable[[float, str], None]
_PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
_UNKNOWNS = 1000
_PART = 0.6
_MIXUPS = (0.0, 1.0)  # of which one is chosen on held-out data: some recordings gain by it, some lose


@dataclass(frozen=True, eq=False)
class Data:
    """What is learnt from.

    Attributes:
        z: standardised features `[bins, features]`, 0 where missing or never varying.
        there: `[bins, features]`, False where missing; None where nothing is.
        live: `[features]`, False for features that never varied.
        y: standardised targets `[bins, k]`, 0 in columns that never varied.
        y_live: `[k]`, False for those.
        past: bins since the last border, `[bins]`.
    """

    z: Float32
    there: Bool | None
    live: Bool
    y: Float32
    y_live: Bool
    past: Ints

    def part(self, a: int, b: int) -> Data:
        """Bins a to b; the cut is a border."""
        past = np.minimum(self.past[a:b], np.arange(b - a) + 1)
        return Data(self.z[a:b], None if self.there is None else self.there[a:b], self.live, self.y[a:b], self.y_live, past)


def torch() -> Any:
    """PyTorch.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError("training a network needs PyTorch: pip install 'volition[train]'") from None
    return torch


def features(z: Any, there: Any, decays: tuple[float, ...], live: int) -> Any:
    """`_graph.read_in` for whole windows: z and there `[rows, bins, features]` -> `[rows, bins, width]`."""
    t = torch()
    share = there.sum(2, keepdim=True) / max(1, live)
    parts = [z / share.clamp(min=SHARE_FLOOR)]
    for decay in decays:
        num, den, found = t.zeros_like(z[:, 0]), t.zeros_like(z[:, 0]), []
        for k in range(z.shape[1]):
            num, den = num * decay + z[:, k], den * decay + there[:, k]
            found.append(num / den.clamp(min=DEN_FLOOR))
        parts.append(t.stack(found, 1))
    return t.cat([*parts, 1 - share], 2)


def _schedule(at: float) -> float:
    """Share of the highest learning rate, at a share of training: a short rise, then half a cosine."""
    return min(1.0, at / 0.03 + 0.01) * (0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, at))))


def ridge_noise(data: Data) -> float:
    """Noise to train with, in standard deviations of a feature: most of what the data want of a ridge penalty.

    Noise of variance s² on every input is, for a linear decoder, a ridge penalty of N s² (Bishop 1995, Neural Computation
    7:108), and how large that should be is what held-out blocks of the training data say. Dropped units and activations
    penalise too, so a part of it is enough.
    """
    z = data.z[:, data.live].astype(np.float64)
    lags = int(np.clip(_UNKNOWNS // z.shape[1], 1, 10)) if z.shape[1] else 0
    if not lags or not data.y_live.any():
        return 0.0
    y = data.y[:, data.y_live].astype(np.float64)
    choices = [ridge.Choice(lags, penalty, 0.0) for penalty in _PENALTIES]
    found = ridge.Problem(z, data.past, y, lags).validate(choices, 4)
    best = max(choices, key=lambda c: found[c].r2(slice(0, y.shape[1])))
    return float(np.clip(_PART * math.sqrt(best.penalty / len(z)), 0.15, 0.4))


def _mixed(
    beta: float, z: Float32, there: Bool, y: Float32, nothing: Bool, rng: np.random.Generator
) -> tuple[Float32, Bool, Float32]:
    """Rows mixed with other rows, inputs and targets alike, in shares from Beta(beta, beta): mixup (Zhang et al. 2018).

    Where one of a pair has no bin, the other stays as it is; what is missing in one is missing in the mixture.
    """
    other = rng.permutation(len(z))
    share = rng.beta(beta, beta, (len(z), 1)).astype(np.float32)
    share = np.where(nothing | nothing[other], np.float32(1), share)[..., None]
    both = there & (there[other] | (share == 1))
    mixed = np.where(both, share * z + (1 - share) * z[other], np.float32(0))
    return mixed, both, share * y + (1 - share) * y[other]


class Trainer:
    """One network in training; `build` makes the module, `config` is the decoder's, the way there is kept in `kept`."""

    def __init__(
        self,
        build: Any,
        data: Data,
        config: Any,
        decays: tuple[float, ...],
        seed: int,
        start: dict[str, Float32] | None,
        kept: Path | None = None,
    ) -> None:
        self._t = torch()
        self._config, self._decays, self._seed, self._start, self._build = config, decays, seed, start, build
        self._noise = ridge_noise(data) if isinstance(config.noise, str) else config.noise
        self._live, self._y_live = int(data.live.sum()), data.y_live
        self._width = data.z.shape[1] * (1 + len(decays)) + 1
        self._device = self._t.device("cuda" if config.device == "auto" and self._t.cuda.is_available() else "cpu")
        bins = len(data.z)
        self._batch_bins = int(np.clip(bins / 6, min(1000, config.batch_bins), config.batch_bins))
        steps = np.clip(5 * math.sqrt(bins), min(config.least_steps, bins / 3), config.most_steps)
        self._epochs = max(1, round(float(steps) / max(1.0, bins / self._batch_bins)))
        here = (config, decays, seed, self._device, self._t.__version__, self._t.get_num_threads(), np.__version__)
        inputs = (data.z, data.there, data.live, data.y, data.y_live, data.past)
        self._kept = Checkpoint(kept, *here, *inputs, *(part for item in sorted((start or {}).items()) for part in item))

    def run(self, data: Data, progress: Progress | None = None) -> Trained:
        """Train on the first part, stop where the last part says, train on everything for as long."""
        say = progress or (lambda share, what: None)
        if not (self._live and self._y_live.any()):
            return Trained(self._numbers(self._network(self._config).state_dict()), 0, math.nan, np.zeros(len(self._y_live)))
        cut = max(10, round(len(data.z) * (1 - self._config.holdout)))
        inner, held = data.part(0, cut), data.part(cut, len(data.z))
        c = self._config
        choices = _MIXUPS if isinstance(c.mixup, str) else (c.mixup,)
        if not c.refit and len(choices) == 1:
            return self._descend(c, inner, held, self._epochs, say)
        alone, parts = replace(c, members=1), len(choices) + c.members
        found = []
        for k, mixup in enumerate(choices):
            told = partial(self._within, say, k / parts, 1 / parts)
            found.append(self._descend(replace(alone, mixup=mixup), inner, held, self._epochs, told))
        k = int(np.argmax([one.validation for one in found]))
        first, chosen = found[k], replace(c, mixup=choices[k])
        told = partial(self._within, say, len(choices) / parts, c.members / parts)
        if not c.refit:
            kept = first if c.members == 1 else self._descend(chosen, inner, held, self._epochs, told)
            return replace(kept, mixup=choices[k])
        whole = self._descend(chosen, data, None, first.epochs, told)
        return Trained(whole.weights, first.epochs, first.validation, first.shift, choices[k])

    @staticmethod
    def _within(say: Progress, start: float, share: float, done: float, what: str) -> None:
        """Tell of a part as a part of the whole."""
        say(start + share * done, what)

    def _window(self, data: Data) -> int:
        """Shorter where there are few bins: a step of a dozen short rows costs what one of a single long row does."""
        return int(np.clip(len(data.z) // 12, min(25, self._config.window), self._config.window))

    def _network(self, config: Any) -> Any:
        with self._t.random.fork_rng(devices=[]):
            self._t.manual_seed(self._seed)
            network = self._build(self._width, len(self._y_live), config)
        wanted = {n: tuple(p.shape) for n, p in network.state_dict().items() if ".also." not in n}
        start = {n: v for n, v in (self._start or {}).items() if wanted.get(n) == v.shape}
        if len(start) == len(wanted):
            network.load_state_dict({n: self._t.tensor(np.array(v)) for n, v in start.items()}, strict=False)
        return network.to(self._device)

    def _descend(self, config: Any, data: Data, held: Data | None, last: int, say: Progress) -> Trained:
        """Train on `data` along a cosine that ends with the epoch `last`; with `held`, keep the best epoch there."""
        found = self._kept.over()
        if found is None:
            with self._t.random.fork_rng(devices=[]):
                self._t.manual_seed(self._seed + 1)
                found = self._epoch_by_epoch(config, data, held, last, say)
            self._kept.end(found)
        return found

    def _epoch_by_epoch(self, c: Any, data: Data, held: Data | None, last: int, say: Progress) -> Trained:
        t = self._t
        network, rng = self._network(c), np.random.default_rng(self._seed)
        decayed = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": c.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimizer = t.optim.AdamW(groups, lr=c.rate, betas=(0.9, 0.99))
        now = Descent(network, optimizer, rng, len(self._y_live))
        self._kept.resume(t, now)
        while now.epoch < last and now.waited <= max(3.0, c.patience * self._epochs):
            network.train()
            steps = list(windows.batches(windows.spans(data.past, self._window(data), c.lead, rng), self._batch_bins, rng))
            for k, group in enumerate(steps):
                at = (now.epoch + k / len(steps)) / last
                for g in optimizer.param_groups:
                    g["lr"] = c.rate * _schedule(at)
                self._step(network, optimizer, data, group, rng, c.mixup)
                now.average(c.averaging)
            now.epoch += 1
            said = f"epoch {now.epoch}"
            if held is not None:
                r2, shift = self._judge(network, now.mean, held)
                now.judged(r2, shift)
                said += f", held out R2 {r2:.3f}"
            self._kept.keep(t, now)
            say(now.epoch / last, said)
        return now.best if held is not None else Trained(now.numbers(), last, math.nan, now.best.shift)

    def _batch(
        self, data: Data, group: list[windows.Span], rng: np.random.Generator | None, mixup: float = 0.0
    ) -> tuple[Any, Any, Any]:
        """Inputs `[rows, bins, width]`, targets and weights of the bins; changed at random where there is an `rng`."""
        c, t = self._config, self._t
        index, counts = windows.rows(group)
        if rng is not None and c.bent > 0:
            windows.bend(index, counts, data.past, c.bent, c.warp, rng)
        nothing = index == windows.NOTHING
        z = data.z[index]
        there = np.broadcast_to(data.live, z.shape).copy() if data.there is None else data.there[index] & data.live
        there[nothing] = False
        if rng is not None:
            rows = len(index)
            dead = rng.random((rows, 1, z.shape[2])) < rng.uniform(0, 2 * c.unit_dropout, (rows, 1, 1))
            there &= ~(dead | (rng.random((*index.shape, 1)) < c.bin_dropout))
            z = z + np.float32(self._noise) * rng.standard_normal(z.shape, np.float32)
            z += np.float32(c.offset) * rng.standard_normal((rows, 1, z.shape[2]), np.float32)
        z, y = np.where(there, z, np.float32(0)), data.y[index]
        if rng is not None and mixup > 0:
            z, there, y = _mixed(mixup, z, there, y, nothing, rng)
        move = [t.from_numpy(a).to(self._device) for a in (z, there.astype(np.float32), y, counts)]
        with t.no_grad():
            return features(move[0], move[1], self._decays, self._live), move[2], move[3]

    def _around(self, y: Any, counts: Any) -> tuple[Any, Any]:
        """Targets of the bins around, `[rows, bins, bins around, k]`, and whether the row has them."""
        t = self._t
        shifted, has = [], []
        for d in self._config.also:
            shifted.append(t.roll(y, -d, 1))
            inside = t.roll(counts, -d, 1)
            inside[:, : max(0, -d)] = False
            inside[:, inside.shape[1] - max(0, d) :] = False
            has.append(inside & counts)
        return t.stack(shifted, 2), t.stack(has, 2)

    def _step(
        self, network: Any, optimizer: Any, data: Data, group: list[windows.Span], rng: np.random.Generator, mixup: float
    ) -> None:
        u, y, counts = self._batch(data, group, rng, mixup)
        mean, logvar, also = network(u)
        error = ((mean - y) ** 2)[..., self._y_live]
        spread = logvar[..., self._y_live].clamp(-10, 10)
        each = error + 0.5 * (spread + error.detach() / spread.exp())
        loss = each[:, counts].mean()
        if also is not None:
            wanted, has = self._around(y, counts)
            off = (also.reshape(len(also), *wanted.shape) - wanted)[..., self._y_live] ** 2
            loss = loss + self._config.also_weight * (off[:, has].mean() if has.any() else 0.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._t.nn.utils.clip_grad_norm_(network.parameters(), self._config.clip)
        optimizer.step()

    def _judge(self, network: Any, mean: dict[str, Any], held: Data) -> tuple[float, Float64]:
        """R² of the averaged weights on held-out bins, and how much larger the errors are there than expected."""
        t, c = self._t, self._config
        present = {name: p.clone() for name, p in network.state_dict().items()}
        network.load_state_dict(mean)
        network.eval()
        residual, total, ratio = (np.zeros(len(self._y_live)) for _ in range(3))
        n = 0
        centre = held.y.mean(0)
        with t.no_grad():
            for group in windows.batches(windows.spans(held.past, 4 * c.window, c.lead), 4 * self._batch_bins):
                u, y, counts = self._batch(held, group, None)
                guess, logvar, _ = network(u)
                error = ((guess.mean(0) - y)[counts] ** 2).double()
                ratio += (error / logvar.mean(0)[counts].exp()).sum(0).cpu().numpy()
                residual += error.sum(0).cpu().numpy()
                n += len(error)
                total += ((y[counts].cpu().numpy() - centre) ** 2).sum(0)
        network.load_state_dict(present)
        used = self._y_live & (total > 0)
        r2 = float((1 - residual[used] / total[used]).mean()) if used.any() else 0.0
        return r2, np.log(np.maximum(ratio / max(1, n), 1e-6))

    @staticmethod
    def _numbers(state: dict[str, Any]) -> dict[str, Float32]:
        return {name: p.detach().cpu().numpy().copy() for name, p in state.items()}


def sequence(
    build: Any, weights: dict[str, Float32], data: Data, config: Any, decays: tuple[float, ...]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and logvar `[bins, k]` over bins without a border, all at once: what a graph must equal."""
    t = torch()
    width = data.z.shape[1] * (1 + len(decays)) + 1
    with t.random.fork_rng(devices=[]):  # it is filled at once, but draws numbers for it first
        network = build(width, data.y.shape[1], config)
    network.load_state_dict({name: t.tensor(np.array(value)) for name, value in weights.items()}, strict=False)
    network.eval()
    there = np.broadcast_to(data.live, data.z.shape) if data.there is None else data.there & data.live
    with t.no_grad():
        z, here = t.tensor(data.z)[None], t.tensor(there.astype(np.float32))[None]
        mean, logvar, _ = network(features(z, here, decays, int(data.live.sum())))
    return mean.mean(0)[0].numpy(), logvar.mean(0)[0].numpy()
