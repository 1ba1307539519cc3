"""Gated recurrent network (GRU), trained in PyTorch, run as ONNX with its memory as explicit state.

Four networks whose outputs are averaged inside one graph, each a linear read-in to 64 values and one layer of 256 units, on
the counts of the bin and, where there are not too many, on slow averages of them; the rest of what was before is in the
memory. See `_network.py` for what is learnt and how, `_gru_torch.py` for the equations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from volition.decoder._network import Network, NetworkConfig

_MANY = 256
_SMOOTH_MS = (100.0, 300.0)


@dataclass(frozen=True)
class GruConfig(NetworkConfig):
    """Size of the network; how it learns stands in `NetworkConfig`.

    Attributes:
        units: of a layer.
        layers: one on top of the other.
        read_in: width of a linear layer before them, 0 for none. Movement is in few directions of what the units do, and
            the weights that find them are shared by all gates.
        smooth_ms: "auto": 100 and 300 ms where there are at most 256 features, else none.
    """

    members: int = 4
    dropout: float = 0.1
    unit_dropout: float = 0.1
    smooth_ms: tuple[float, ...] | str = "auto"
    units: int = 256
    layers: int = 1
    read_in: int = 64


class Gru(Network):
    """The decoder."""

    Config = GruConfig
    who = "gru"

    @staticmethod
    def sized(config: Any, features: int) -> Any:
        """The configuration with its averages."""
        if not isinstance(config.smooth_ms, str):
            return config
        return replace(config, smooth_ms=_SMOOTH_MS if features <= _MANY else ())

    @staticmethod
    def module() -> Any:
        """The PyTorch twin."""
        from volition.decoder._gru_torch import build

        return build

    @staticmethod
    def write(weights: Mapping[str, Any], scale: Mapping[str, Any], decays: tuple[float, ...], config: Any) -> bytes:
        """The ONNX graph of one bin."""
        from volition.decoder import _graph

        g = _graph.Graph()
        u, share, _ = _graph.read_in(g, scale, decays)
        means, logvars = [], []
        for m in range(config.members):
            x = g.linear(u, f"m.{m}.read", weights) if config.read_in else u
            for layer in range(config.layers):
                x = _cell(g, x, m, layer, config.units, weights)
            means.append(g.linear(x, f"m.{m}.mean", weights))
            logvars.append(g.linear(x, f"m.{m}.logvar", weights))
        _graph.read_out(g, _graph.averaged(g, means), _graph.averaged(g, logvars), share, scale)
        return g.bytes()


def _cell(g: Any, x: str, member: int, layer: int, units: int, weights: Mapping[str, Any]) -> str:
    """One layer: the new state, which is also its output."""
    name = f"m.{member}.gru"
    before = g.state(f"h{member}.{layer}", 1, units)
    ours = g.product(x, f"{name}.weight_ih_l{layer}", f"{name}.bias_ih_l{layer}", weights)
    old = g.product(before, f"{name}.weight_hh_l{layer}", f"{name}.bias_hh_l{layer}", weights)
    sizes = g.ints(units, units, units)
    xr, xz, xn = g.op("Split", ours, sizes, outputs=3, axis=1)
    hr, hz, hn = g.op("Split", old, sizes, outputs=3, axis=1)
    r = g.op("Sigmoid", g.op("Add", xr, hr))
    z = g.op("Sigmoid", g.op("Add", xz, hz))
    n = g.op("Tanh", g.op("Add", xn, g.op("Mul", r, hn)))
    h = g.op("Add", n, g.op("Mul", z, g.op("Sub", before, n)))
    g.keeps(f"h{member}.{layer}", h, 1, units)
    return str(h)
