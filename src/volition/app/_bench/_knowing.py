"""The point-process filter of a person given what no decoder can know: what a perfect fit of its model would be worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from volition.brain._tuning import Population
from volition.brain.person import Person
from volition.decoder._point_process import Filter, Model
from volition.decoder.poisson import Poisson
from volition.loop.loop import Loop
from volition.signal import NS_PER_MS, Bool, Float64


def true_model(learnt: Model, population: Population, shared_noise: float, bin_ns: int) -> Model:
    """What was learnt, but for tuning, click and shared noise, which are the person's own.

    How movement goes on, how often it clicks and what a spike is worth stay as learnt. The filter takes the variance of
    shared noise off the log-rates by itself, so the rates given here are those with it.
    """
    u, m = population.units, learnt.moves
    loadings = shared_noise * u.loading * population._common.scale
    tuning = np.vstack(
        (population._bias + 0.5 * (loadings**2).sum(1), u.velocity.T, u.speed, population.click, u.position.T)
    )
    keep = np.concatenate((learnt.keep[:m], np.exp(-bin_ns / NS_PER_MS / population.preset.factor_ms)))
    spread = np.concatenate((learnt.spread[:m], np.ones(loadings.shape[1])))
    fresh = np.concatenate((learnt.fresh[:m], 1 - keep[m:] ** 2))
    return replace(learnt, tuning=tuning, loadings=loadings, keep=keep, spread=spread, fresh=fresh)


class Knowing(Filter):
    """A filter that is told how the rates have drifted, too."""

    def __init__(self, model: Model, population: Population, worth: float) -> None:
        self._population = population
        super().__init__(model, True, worth)

    def step(self, counts: Float64, seen: Bool, place: Float64) -> None:
        """One bin, as `Filter`."""
        self._b = (self.model.tuning[0] + self._population._drift.log_rate).astype(np.float32)
        super().step(counts, seen, place)


def enlighten(loop: Loop) -> Loop:
    """Give the calibrated `poisson` decoder of a loop the true parameters of its person."""
    brain, decoder = loop.brain, loop.decoder
    assert isinstance(brain, Person)
    assert isinstance(decoder, Poisson)
    model = true_model(decoder._filter.model, brain.population, brain.config.shared_noise, loop.setup.bin_ns)
    decoder._filter = Knowing(model, brain.population, decoder.config.worth)
    return loop
