"""Causal transformer, trained in PyTorch, run as ONNX with its keys and values of the last bins as explicit state.

A bin is one step: its query meets the cached keys of the `context - 1` bins before and its own. That equals the computation
over the whole sequence (a test proves it), because no bin ever attends farther back than that in any layer.
See `_network.py` for what is learnt and how, `_transformer_torch.py` for the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.decoder._network import Network, NetworkConfig
from volition.errors import ConfigError

_EPS = 1e-5  # of layer norm, as PyTorch has it
_NEVER = 1e9  # taken off the score of a slot that holds nothing yet


@dataclass(frozen=True)
class TransformerConfig(NetworkConfig):
    """Size of the network; how it learns stands in `NetworkConfig`.

    Attributes:
        units: width.
        layers: blocks.
        heads: of the attention, each units / heads wide.
        feedforward: width inside the two layers on each bin alone.
        context: bins that a bin attends to, itself included.
    """

    units: int = 128
    layers: int = 3
    heads: int = 4
    feedforward: int = 256
    context: int = 50
    rate: float = 1e-3
    mixup: float | str = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        super().__post_init__()
        if self.units % self.heads:
            raise ConfigError(f"units must be a multiple of heads, got {self.units} and {self.heads}")
        if self.context < 2:
            raise ConfigError(f"context must be at least 2 bins, got {self.context}")


class Transformer(Network):
    """The decoder."""

    Config = TransformerConfig
    who = "transformer"

    @staticmethod
    def module() -> Any:
        """The PyTorch twin."""
        from volition.decoder._transformer_torch import build

        return build

    @staticmethod
    def write(weights: Mapping[str, Any], scale: Mapping[str, Any], decays: tuple[float, ...], config: Any) -> bytes:
        """The ONNX graph of one bin."""
        from volition.decoder import _graph

        g = _graph.Graph()
        u, share, _ = _graph.read_in(g, scale, decays)
        old = config.context - 1
        filled = g.op("Concat", g.state("filled", 1, 1, old), g.weight("one", np.ones((1, 1, 1))), axis=2)
        g.keeps("filled", g.op("Slice", filled, g.ints(1), g.ints(old + 1), g.ints(2)), 1, 1, old)
        empty = g.op("Mul", g.op("Sub", filled, g.number(1.0)), g.number(_NEVER))
        means, logvars = [], []
        for m in range(config.members):
            x = g.linear(u, f"m.{m}.read", weights)
            for layer in range(config.layers):
                x = _block(g, x, empty, f"m.{m}.block.{layer}", config, weights)
            x = _norm(g, x, f"m.{m}.norm", weights)
            means.append(g.linear(x, f"m.{m}.mean", weights))
            logvars.append(g.linear(x, f"m.{m}.logvar", weights))
        _graph.read_out(g, _graph.averaged(g, means), _graph.averaged(g, logvars), share, scale)
        return g.bytes()


def _norm(g: Any, x: str, name: str, weights: Mapping[str, Any]) -> str:
    """Layer norm."""
    gain, shift = (g.weight(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias"))
    return str(g.op("LayerNormalization", x, gain, shift, axis=-1, epsilon=_EPS))


def _block(g: Any, x: str, empty: str, name: str, config: Any, weights: Mapping[str, Any]) -> str:
    """One block on one bin: `x [1, units]`; slot s of the cache is `context - 1 - s` bins old."""
    heads, wide, reach = config.heads, config.units // config.heads, config.context
    qkv = g.linear(_norm(g, x, f"{name}.norm1", weights), f"{name}.qkv", weights)
    q, k, v = g.op("Split", g.op("Reshape", qkv, g.ints(3 * heads, 1, wide)), g.ints(heads, heads, heads), outputs=3, axis=0)
    keys = g.op("Concat", g.state(f"{name}.k", heads, wide, reach - 1), g.op("Reshape", k, g.ints(heads, wide, 1)), axis=2)
    values = g.op("Concat", g.state(f"{name}.v", heads, reach - 1, wide), v, axis=1)
    g.keeps(f"{name}.k", g.op("Slice", keys, g.ints(1), g.ints(reach), g.ints(2)), heads, wide, reach - 1)
    g.keeps(f"{name}.v", g.op("Slice", values, g.ints(1), g.ints(reach), g.ints(1)), heads, reach - 1, wide)
    by_slot = np.asarray(weights[f"{name}.bias"])[:, None, ::-1]
    score = g.op("MatMul", g.op("Mul", q, g.number(wide**-0.5)), keys)
    share = g.op("Softmax", g.op("Add", score, g.op("Add", g.weight(f"{name}.bias", by_slot), empty)), axis=2)
    found = g.op("Reshape", g.op("MatMul", share, values), g.ints(1, heads * wide))
    x = g.op("Add", x, g.linear(found, f"{name}.out", weights))
    up = g.op("Gelu", g.linear(_norm(g, x, f"{name}.norm2", weights), f"{name}.up", weights))
    return str(g.op("Add", x, g.linear(up, f"{name}.down", weights)))
