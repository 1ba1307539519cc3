"""Writes a trained network as an ONNX graph of one bin (`_onnx.py` says what goes in and out).

Written node by node instead of traced: an export takes milliseconds, its bytes depend on nothing but the weights, and the
initializers keep the names of the weights, so that training can go on from a saved model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder._onnx import NEXT
from volition.errors import InputError, MissingExtraError
from volition.signal import Float32

OPSET, IR = 20, 9  # what onnxruntime 1.17 reads
CLIP = 8.0  # standard deviations: a burst of noise must not throw a network out of what it knows
DEN_FLOOR = 1e-6
SHARE_FLOOR = 0.1

Arrays = Mapping[str, NDArray[Any]]


def onnx() -> Any:
    """The package that writes ONNX.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise MissingExtraError("training a network needs onnx: pip install 'volition[train]'") from None
    return onnx


class Graph:
    """Nodes and weights of a graph in the making; a value is known by its name."""

    def __init__(self) -> None:
        self._onnx = onnx()
        self._nodes: list[Any] = []
        self._weights: dict[str, Float32] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._named: dict[str, str] = {}

    def weight(self, name: str, value: Any) -> str:
        """A stored array."""
        self._weights[name] = np.ascontiguousarray(value, np.float32)
        return name

    def ints(self, *values: int) -> str:
        """A stored vector of integers (axes, shapes)."""
        name = "i." + ".".join(map(str, values))
        self._weights[name] = np.array(values, np.int64)
        return name

    def number(self, value: float) -> str:
        """A stored scalar."""
        return self.weight(f"c.{value:.9g}", np.float32(value))

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; the name of its output, or a list of them."""
        names = [f"v{len(self._nodes)}.{k}" for k in range(outputs)]
        taken = [self._named.get(i, i) for i in inputs]
        self._nodes.append(self._onnx.helper.make_node(kind, taken, names, **attributes))
        return names[0] if outputs == 1 else names

    def takes(self, name: str, *shape: int, boolean: bool = False) -> str:
        """An input."""
        kind = self._onnx.TensorProto.BOOL if boolean else self._onnx.TensorProto.FLOAT
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def gives(self, name: str, value: str, *shape: int) -> None:
        """An output under a name of its own."""
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, shape))
        if not any(value in node.output for node in self._nodes):
            self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
            return
        for node in self._nodes:  # what is made is called so from the start: a copy under another name would cost time
            for names in (node.input, node.output):
                for k, known in enumerate(names):
                    if known == value:
                        names[k] = name
        self._named[value] = name

    def state(self, name: str, *shape: int) -> str:
        """Memory: what `keeps` gave in the bin before."""
        return self.takes(name, *shape)

    def keeps(self, name: str, value: str, *shape: int) -> None:
        """What the memory is from the next bin on."""
        self.gives(name + NEXT, value, *shape)

    def linear(self, x: str, name: str, weights: Arrays) -> str:
        """`x W^T + b`, with PyTorch's names; stored transposed, as the product wants it."""
        return self.product(x, f"{name}.weight", f"{name}.bias", weights)

    def product(self, x: str, weight: str, bias: str, weights: Arrays) -> str:
        """The same with names as they are."""
        W = self.weight(weight, np.asarray(weights[weight]).T)
        return str(self.op("Add", self.op("MatMul", x, W), self.weight(bias, weights[bias])))

    def bytes(self) -> bytes:
        """The model."""
        o = self._onnx
        stored = [o.numpy_helper.from_array(value, name) for name, value in self._weights.items()]
        graph = o.helper.make_graph(self._nodes, "decoder", self._inputs, self._outputs, stored)
        model = o.helper.make_model(graph, opset_imports=[o.helper.make_opsetid("", OPSET)], ir_version=IR)
        model.producer_name = "volition"
        o.checker.check_model(model)
        return bytes(model.SerializeToString())


def stored(content: bytes) -> dict[str, Float32]:
    """The float weights in a model, by name; products' weights as PyTorch has them (transposed back).

    Raises:
        InputError: it is no ONNX model.
    """
    o = onnx()
    try:
        model = o.load_model_from_string(content)
    except Exception:  # protobuf's own
        raise InputError("the saved network is damaged: not an ONNX model") from None
    found: dict[str, Float32] = {}
    for item in model.graph.initializer:
        value = o.numpy_helper.to_array(item)
        if value.dtype == np.float32:
            found[item.name] = value.T if "weight" in item.name and value.ndim == 2 else value
    return found


def read_in(g: Graph, scale: Arrays, decays: Sequence[float]) -> tuple[str, str, int]:
    """What the network is given of a bin: standardised features, their causal averages, and how much is missing.

        z = (x - mean) / sd, clipped, 0 where missing or never varying
        raw = z / (share of the live features that are there)
        average = num / den,  num <- a num + z,  den <- a den + (there)        for each decay a

    The averages hold what was known of a missing feature and fade to its mean.

    Returns:
        The vector `[1, width]`, the share `[1, 1]`, and the width.
    """
    features = len(scale["mean"])
    x, mask = g.takes("x", 1, features), g.takes("mask", 1, features, boolean=True)
    live = np.asarray(scale["live"], np.float32)
    gain = live / np.asarray(scale["sd"])
    centred = g.op("Mul", g.op("Sub", x, g.weight("mean", [scale["mean"]])), g.weight("gain", [gain]))
    known = g.op("Where", mask, g.number(0.0), centred)
    z = g.op("Clip", known, g.number(-CLIP), g.number(CLIP))
    there = g.op("Mul", g.op("Cast", g.op("Not", mask), to=1), g.weight("live", [live]))
    count = g.op("ReduceSum", there, g.ints(1), keepdims=1)
    share = g.op("Mul", count, g.number(1.0 / max(1.0, float(live.sum()))))
    parts = [g.op("Div", z, g.op("Max", share, g.number(SHARE_FLOOR)))]
    for k, decay in enumerate(decays):
        a = g.number(decay)
        num = g.op("Add", g.op("Mul", g.state(f"num{k}", 1, features), a), z)
        den = g.op("Add", g.op("Mul", g.state(f"den{k}", 1, features), a), there)
        g.keeps(f"num{k}", num, 1, features)
        g.keeps(f"den{k}", den, 1, features)
        parts.append(g.op("Div", num, g.op("Max", den, g.number(DEN_FLOOR))))
    lost = g.op("Sub", g.number(1.0), share)
    return g.op("Concat", *parts, lost, axis=1), share, features * len(parts) + 1


def read_out(g: Graph, mean: str, logvar: str, share: str, scale: Arrays) -> None:
    """Outputs in their own units; confidence = share x mean over outputs of 1 / (1 + expected squared error / variance)."""
    live = np.asarray(scale["y_live"], np.float32)
    k = len(live)
    y = g.op("Add", g.op("Mul", mean, g.weight("y_sd", [live * scale["y_sd"]])), g.weight("y_mean", [scale["y_mean"]]))
    g.gives("y", y, 1, k)
    trust = g.op("Sigmoid", g.op("Neg", logvar))
    averaged = g.op("MatMul", trust, g.weight("y_live", live[:, None] / max(1.0, float(live.sum()))))
    g.gives("confidence", g.op("Reshape", g.op("Mul", averaged, share), g.ints(1)), 1)


def averaged(g: Graph, values: Sequence[str]) -> str:
    """The mean of several equal vectors."""
    if len(values) == 1:
        return values[0]
    return str(g.op("Mean", *values))
