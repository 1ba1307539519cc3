"""Runs a network bin by bin in onnxruntime, its memory going in and out as explicit state. The only door to onnxruntime.

A graph is one bin of a decoder:

    x [1, features] float32, mask [1, features] bool, <name> ... -> y [1, k], confidence [1], <name>.next ...

Every input besides `x` and `mask` is state: zero at the start, and after each bin replaced by the output of its name with
".next". All buffers are made once and bound to the session (state twice, written by turns), so that a step copies one bin in
and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Bool, Float32

NEXT = ".next"


def session(content: bytes) -> Any:
    """An inference session on one thread that never spins: a loop steps at 50 Hz and shares its core.

    Raises:
        InputError: the bytes are no model that onnxruntime can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, which share no base class
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the saved network cannot be run: {first}") from None


class Stepper:
    """A network's graph, one bin at a time.

    Args:
        content: the ONNX model.

    Raises:
        InputError: it is no such graph.
    """

    def __init__(self, content: bytes) -> None:
        self._session = session(content)
        shapes = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        gives = {o.name: tuple(o.shape) for o in self._session.get_outputs()}
        self._states = [name for name in shapes if name not in ("x", "mask")]
        wanted = {"x", "mask"} - set(shapes) | ({"y", "confidence"} | {s + NEXT for s in self._states}) - set(gives)
        if wanted:
            raise InputError(f"the saved network lacks {', '.join(sorted(wanted))}; it is no decoder of one bin")
        if any(not isinstance(n, int) for shape in (*shapes.values(), *gives.values()) for n in shape):
            raise InputError("the saved network has sizes that are not fixed; it is no decoder of one bin")
        self.features, self.outputs = shapes["x"][-1], gives["y"][-1]
        self._x = np.zeros(shapes["x"], np.float32)
        self._mask = np.zeros(shapes["mask"], np.bool_)
        self._y = np.zeros(gives["y"], np.float32)
        self._confidence = np.zeros(gives["confidence"], np.float32)
        self._buffers = [{s: np.zeros(shapes[s], np.float32) for s in self._states} for _ in range(2)]
        self._bindings = [self._bound(*self._buffers), self._bound(*self._buffers[::-1])]
        self._turn = 0

    def _bound(self, before: dict[str, NDArray[Any]], after: dict[str, NDArray[Any]]) -> Any:
        binding = self._session.io_binding()
        for name, array in {"x": self._x, "mask": self._mask, **before}.items():
            binding.bind_cpu_input(name, array)
        given = {"y": self._y, "confidence": self._confidence, **{s + NEXT: after[s] for s in self._states}}
        for name, array in given.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding

    def reset(self) -> None:
        """Back to no history."""
        for buffer in self._buffers:
            for array in buffer.values():
                array.fill(0.0)
        self._turn = 0

    def step(self, x: NDArray[Any], mask: Bool) -> tuple[Float32, float]:
        """One bin: `[features]` and what of it is missing -> a fresh `[k]`, and the confidence."""
        self._x[0] = x
        self._mask[0] = mask
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn ^= 1
        return self._y[0].copy(), float(self._confidence[0])


def int8(content: bytes) -> bytes:
    """The same graph with the weights of its products as 8-bit integers (dynamic quantisation).

    Pays from about 512 units on; outputs then differ by about a hundredth of their spread.
    """
    import tempfile
    from pathlib import Path

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load_model_from_string(content)
    # Its shapes are known and there is nothing to fold: what the quantiser would have a model prepared for.
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model.SerializeToString())
        quantize_dynamic(source, made, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8)
        return made.read_bytes()
