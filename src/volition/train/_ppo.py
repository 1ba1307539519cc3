"""Proximal policy optimisation in NumPy: small networks, one core (Schulman et al. 2017, arXiv 1707.06347)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.errors import InputError

F = np.float32
_ENOUGH = 0.2  # share of samples that must have acted: few of them, made of unit size, would move the policy far


class Net:
    """Layers of tanh and a linear one, with gradients.

    Args:
        sizes: inputs, hidden units, outputs.
        last: scale of the first weights of the last layer.
    """

    def __init__(self, sizes: Sequence[int], rng: np.random.Generator, last: float) -> None:
        self.w: list[Any] = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            scale = last if i == len(sizes) - 2 else 1.0
            self.w += [(rng.standard_normal((a, b)) * scale / np.sqrt(a)).astype(F), np.zeros(b, F)]

    def forward(self, x: Any) -> Any:
        """Outputs; what is needed for `backward` is kept."""
        self._x = [x]
        for i in range(0, len(self.w) - 2, 2):
            x = np.tanh(x @ self.w[i] + self.w[i + 1])
            self._x.append(x)
        return x @ self.w[-2] + self.w[-1]

    def backward(self, g: Any) -> list[Any]:
        """Gradients of the weights, from those of the outputs."""
        grads: list[Any] = [None] * len(self.w)
        for i in range(len(self.w) - 2, -1, -2):
            x = self._x[i // 2]
            grads[i], grads[i + 1] = x.T @ g, g.sum(axis=0)
            if i:
                g = (g @ self.w[i].T) * (1 - x * x)
        return grads


class Adam:
    """Adam (Kingma & Ba 2015) on a list of arrays, gradients cut to a norm."""

    def __init__(self, w: list[Any], norm: float = 1.0) -> None:
        self.w, self.norm, self.t = w, norm, 0
        self.m, self.v = [np.zeros_like(a) for a in w], [np.zeros_like(a) for a in w]

    def step(self, grads: list[Any], rate: float) -> None:
        """One step down."""
        self.t += 1
        size = np.sqrt(sum(float((g * g).sum()) for g in grads))
        cut = min(1.0, self.norm / (size + 1e-8))
        c1, c2 = 1 - 0.9**self.t, 1 - 0.999**self.t
        for a, g, m, v in zip(self.w, grads, self.m, self.v, strict=True):
            g = g * F(cut)
            m += F(0.1) * (g - m)
            v += F(0.001) * (g * g - v)
            a -= F(rate / c1) * m / (np.sqrt(v / F(c2)) + F(1e-8))


@dataclass(frozen=True)
class Ppo:
    """Settings.

    Attributes:
        gamma, lam: discount a step, and of the generalised advantage.
        clip: of the ratio of probabilities.
        epochs, batches: passes over the samples, and parts of each.
        entropy: its price.
        rate: first step of Adam; it follows `kl`.
        kl: change of the policy an iteration that is aimed at.
        spread: log of the first standard deviation of the actions, and its bounds.
        hidden: units of the two layers.
    """

    gamma: float = 0.992
    lam: float = 0.96
    clip: float = 0.2
    epochs: int = 5
    batches: int = 4
    entropy: float = 0.0005
    rate: float = 5e-4
    kl: float = 0.02
    spread: tuple[float, float, float] = (-1.5, -2.5, -0.7)
    hidden: int = 64


class Learner:
    """Actor, critic and what is learnt of a rollout."""

    def __init__(self, seen: int, extra: int, actions: int, ppo: Ppo, rng: np.random.Generator) -> None:
        h = ppo.hidden
        self.ppo, self.rng, self.rate = ppo, rng, ppo.rate
        self.actor = Net((seen, h, h, actions), rng, 0.0)
        self.critic = Net((seen + extra, h, h, 1), rng, 0.1)
        self.log_sd = np.full(actions, ppo.spread[0], F)
        self._adam_a = Adam([*self.actor.w, self.log_sd])
        self._adam_c = Adam(self.critic.w)

    def sample(self, x: Any) -> tuple[Any, Any]:
        """Actions and their log probabilities."""
        noise = self.rng.standard_normal((len(x), len(self.log_sd))).astype(F)
        actions = self.actor.forward(x) + np.exp(self.log_sd) * noise
        return actions, self._log_p(noise)

    def _log_p(self, noise: Any) -> Any:
        return -(0.5 * noise * noise + self.log_sd).sum(axis=1)

    def value(self, x: Any) -> Any:
        """Of states."""
        return self.critic.forward(x)[:, 0]

    def advantages(self, reward: Any, ended: Any, values: Any) -> tuple[Any, Any]:
        """Generalised advantages and returns `[steps, n]`; `values` has one step more; an end has no future."""
        p, steps = self.ppo, len(reward)
        gain, last = np.zeros_like(reward), np.zeros_like(reward[0])
        for t in range(steps - 1, -1, -1):
            go = 1 - ended[t]
            delta = reward[t] + p.gamma * go * values[t + 1] - values[t]
            last = delta + p.gamma * p.lam * go * last
            gain[t] = last
        return gain, gain + values[:-1]

    def learn(self, x: Any, full: Any, action: Any, log_p: Any, gain: Any, back: Any, acting: Any) -> Mapping[str, float]:
        """One iteration on samples `[m, ...]`; who did not act teaches only the critic."""
        p, m = self.ppo, len(x)
        on = acting.astype(F)
        count = max(1.0, float(on.sum()))
        mean = float((gain * on).sum()) / count
        sd = float(np.sqrt(((gain - mean) ** 2 * on).sum() / count)) + 1e-6
        gain = ((gain - mean) / sd * on).astype(F)
        kls, losses, enough = [], [], on.mean() > _ENOUGH
        for _ in range(p.epochs):
            order = self.rng.permutation(m)
            for part in np.array_split(order, p.batches):
                if enough:
                    kls.append(self._actor(x[part], action[part], log_p[part], gain[part], on[part]))
                wrong = self.value(full[part]) - back[part]
                losses.append(float((wrong * wrong).mean()))
                self._adam_c.step(self.critic.backward((wrong / F(len(part)))[:, None]), min(2 * self.rate, 1e-3))
        kl = float(np.mean(kls[-p.batches :])) if enough else p.kl
        self.rate = float(np.clip(self.rate * (1.15 if kl < 0.6 * p.kl else 0.85 if kl > 1.6 * p.kl else 1.0), 5e-5, 2e-3))
        return {"kl": kl, "value": float(np.mean(losses)), "sd": float(np.exp(self.log_sd).mean()), "rate": self.rate}

    def arrays(self) -> dict[str, Any]:
        """Everything needed to go on later, but the random numbers."""
        kept: dict[str, Any] = {"log_sd": self.log_sd, "rate": np.float64(self.rate)}
        for name, adam in (("actor", self._adam_a), ("critic", self._adam_c)):
            kept[f"{name}.t"] = np.int64(adam.t)
            for i, (w, m, v) in enumerate(zip(adam.w, adam.m, adam.v, strict=True)):
                kept |= {f"{name}.w{i}": w, f"{name}.m{i}": m, f"{name}.v{i}": v}
        return kept

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from saved arrays.

        Raises:
            InputError: they are of other networks.
        """
        self.rate = float(arrays["rate"])
        for name, adam in (("actor", self._adam_a), ("critic", self._adam_c)):
            adam.t = int(arrays[f"{name}.t"])
            for i, mine in enumerate(zip(adam.w, adam.m, adam.v, strict=True)):
                for key, array in zip("wmv", mine, strict=True):
                    saved = arrays[f"{name}.{key}{i}"]
                    if saved.shape != array.shape:
                        raise InputError(f"saved training has a layer of {saved.shape}, this one of {array.shape}")
                    array[...] = saved

    def bound(self) -> None:
        """The noise of the actions lies within the bounds of the settings, whatever was restored."""
        np.clip(self.log_sd, *self.ppo.spread[1:], out=self.log_sd)

    def anew(self, rng: np.random.Generator) -> None:
        """Other rewards: the actor stays, its critic and what Adam remembers begin anew."""
        self.critic = Net([len(self.critic.w[0]), *(len(bias) for bias in self.critic.w[1::2])], rng, 0.1)
        self.rate = self.ppo.rate
        self._adam_a = Adam([*self.actor.w, self.log_sd])
        self._adam_c = Adam(self.critic.w)

    def _actor(self, x: Any, action: Any, log_p: Any, gain: Any, on: Any) -> float:
        p = self.ppo
        sd = np.exp(self.log_sd)
        mu = self.actor.forward(x)
        z = (action - mu) / sd
        ratio = np.exp(np.clip(self._log_p(z) - log_p, -5, 5))
        cut = ((ratio > 1 + p.clip) & (gain > 0)) | ((ratio < 1 - p.clip) & (gain < 0))
        # d(-ratio gain) = -gain ratio d(log p)
        weight = np.where(cut, F(0), -gain * ratio) * on / max(1.0, float(on.sum()))
        g_mu = weight[:, None] * z / sd
        # A mean beyond 1 is of no use: it is drawn back.
        g_mu += (0.05 * np.sign(mu) * np.maximum(np.abs(mu) - 1, 0) * on[:, None] / F(len(x))).astype(F)
        g_sd = (weight[:, None] * (z * z - 1)).sum(axis=0) - F(p.entropy)
        self._adam_a.step([*self.actor.backward(g_mu), g_sd.astype(F)], self.rate)
        self.bound()
        return float((((ratio - 1) - np.log(np.maximum(ratio, 1e-6))) * on).sum() / max(1.0, float(on.sum())))
