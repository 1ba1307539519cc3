"""Sixteen-lane vectors for numba kernels: state stays in registers while time runs, whatever the auto-vectoriser thinks.

A filter bank runs over [samples, channels]: neighbouring channels are independent, neighbouring samples are not. A loop over
channels vectorises but loads and stores all state for every sample; a loop over time does not vectorise. Explicit vectors of
16 channels allow the loop over time with the state in registers. LLVM splits them where the machine's are shorter. All
operations are IEEE single precision with explicit fused multiply-add, so results do not depend on the machine's width.

Import this only inside functions: it needs numba (extra `[fast]`).
"""

# numba reads the arguments of an intrinsic's code generator by position: their names follow its documentation.
# mypy: disable-error-code="no-untyped-def,misc"
from __future__ import annotations

import operator
from importlib import import_module
from typing import Any

_nb: Any = import_module("numba")
_types: Any = import_module("numba.core.types")
_cgutils: Any = import_module("numba.core.cgutils")
_ext: Any = import_module("numba.extending")
_ir: Any = import_module("llvmlite.ir")

LANES = 16
_INT = _ir.IntType(32)
_FLOAT = _ir.FloatType()
_intrinsic = _ext.intrinsic


def jit(function: Any) -> Any:
    """`numba.njit`, compiled once per machine where a cache folder can be written, else once per process."""
    try:
        return _nb.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        return _nb.njit(error_model="numpy")(function)


class _Vector(_types.Type):
    """16 float32 ("f") or 16 int32 ("i")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"{kind}32x{LANES}")


F = _Vector("f")
I = _Vector("i")  # noqa: E741
_LLVM = {"f": _ir.VectorType(_FLOAT, LANES), "i": _ir.VectorType(_INT, LANES)}


@_ext.register_model(_Vector)
class _VectorModel(_ext.models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _LLVM[fe_type.kind])


def _call(builder: Any, name: str, result: Any, args: Any) -> Any:
    kind = _ir.FunctionType(result, [a.type for a in args])
    return builder.call(_cgutils.get_or_insert_function(builder.module, kind, name), args)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of a C-contiguous array; the index is not checked."""
    if array_type.layout != "C":
        raise TypeError(f"vectors are loaded from and stored to C-contiguous arrays only, not {array_type}")
    view = context.make_array(array_type)(context, builder, array)
    offset = index[-1]
    if len(index) == 2:
        offset = builder.add(builder.mul(index[0], builder.extract_value(view.shape, 1)), offset)
    return builder.gep(view.data, [offset])


def _load(builder: Any, pointer: Any, element: Any, align: int) -> Any:
    value = builder.load(builder.bitcast(pointer, _ir.VectorType(element, LANES).as_pointer()))
    value.align = align
    return value


def _loader(result: Any, element: Any, align: int) -> tuple[Any, Any]:
    """Loads of 16 neighbours from a row (1-D) and from a matrix (2-D); int16 is widened to int32."""

    def finish(builder: Any, value: Any) -> Any:
        return value if align == 4 else builder.sext(value, _LLVM["i"])

    @_intrinsic
    def from_row(typing_context, array, c):
        def generate(context, builder, signature, args):
            pointer = _address(context, builder, signature.args[0], args[0], [args[1]])
            return finish(builder, _load(builder, pointer, element, align))

        return result(array, _types.intp), generate

    @_intrinsic
    def from_matrix(typing_context, array, i, c):
        def generate(context, builder, signature, args):
            pointer = _address(context, builder, signature.args[0], args[0], list(args[1:]))
            return finish(builder, _load(builder, pointer, element, align))

        return result(array, _types.intp, _types.intp), generate

    return from_row, from_matrix


load_f, load_f2 = _loader(F, _FLOAT, 4)
load_i, load_i2 = _loader(I, _INT, 4)
load_short, load_short2 = _loader(I, _ir.IntType(16), 2)


def _store(builder: Any, pointer: Any, value: Any, align: int) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = align


@_intrinsic
def store(typing_context, array, c, value):
    """Write 16 neighbours of a row."""

    def generate(context, builder, signature, args):
        _store(builder, _address(context, builder, signature.args[0], args[0], [args[1]]), args[2], 4)
        return context.get_dummy_value()

    return _types.void(array, _types.intp, value), generate


@_intrinsic
def store_short2(typing_context, array, i, c, value):
    """Write the low halves of 16 integers to row `i` of an int16 matrix."""

    def generate(context, builder, signature, args):
        short = builder.trunc(args[3], _ir.VectorType(_ir.IntType(16), LANES))
        _store(builder, _address(context, builder, signature.args[0], args[0], list(args[1:3])), short, 2)
        return context.get_dummy_value()

    return _types.void(array, _types.intp, _types.intp, I), generate


@_intrinsic
def store2(typing_context, array, i, c, value):
    """Write 16 neighbours of row `i` of a matrix."""

    def generate(context, builder, signature, args):
        _store(builder, _address(context, builder, signature.args[0], args[0], list(args[1:3])), args[3], 4)
        return context.get_dummy_value()

    return _types.void(array, _types.intp, _types.intp, value), generate


def _splat(builder: Any, value: Any) -> Any:
    kind = _ir.VectorType(value.type, LANES)
    nothing = _ir.Constant(kind, _ir.Undefined)
    one = builder.insert_element(nothing, value, _ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, nothing, _ir.Constant(_LLVM["i"], [0] * LANES))


@_intrinsic
def all_f(typing_context, value):
    """The same float32 in every lane."""
    return F(_types.float32), lambda context, builder, signature, args: _splat(builder, args[0])


@_intrinsic
def all_i(typing_context, value):
    """The same int32 in every lane."""
    return I(_types.int32), lambda context, builder, signature, args: _splat(builder, args[0])


@_intrinsic
def fma(typing_context, a, b, c):
    """a*b + c, rounded once."""
    return F(F, F, F), lambda context, builder, signature, args: _call(builder, f"llvm.fma.v{LANES}f32", _LLVM["f"], args)


@_intrinsic
def absolute(typing_context, a):
    """|a|."""
    return F(F), lambda context, builder, signature, args: _call(builder, f"llvm.fabs.v{LANES}f32", _LLVM["f"], args)


@_intrinsic
def to_float(typing_context, a):
    """int32 -> float32."""
    return F(I), lambda context, builder, signature, args: builder.sitofp(args[0], _LLVM["f"])


@_intrinsic
def to_int(typing_context, a):
    """float32 -> int32, towards zero."""
    return I(F), lambda context, builder, signature, args: builder.fptosi(args[0], _LLVM["i"])


@_intrinsic
def total(typing_context, a):
    """Sum of the 16 integers."""
    return _types.int32(I), lambda context, builder, signature, args: _call(
        builder, f"llvm.vector.reduce.add.v{LANES}i32", _INT, args
    )


@_intrinsic
def bits(typing_context, a):
    """Bitwise or of the 16 integers: 0 exactly where all are 0."""
    return _types.int32(I), lambda context, builder, signature, args: _call(
        builder, f"llvm.vector.reduce.or.v{LANES}i32", _INT, args
    )


def _binary(kind: Any, name: str) -> Any:
    @_intrinsic
    def operation(typing_context, a, b):
        return kind(kind, kind), lambda context, builder, signature, args: getattr(builder, name)(*args)

    return operation


def _comparison(kind: Any, sign: str) -> Any:
    @_intrinsic
    def compare(typing_context, a, b):
        def generate(context, builder, signature, args):
            made = builder.fcmp_ordered if kind is F else builder.icmp_signed
            return builder.sext(made(sign, *args), _LLVM["i"])

        return I(kind, kind), generate

    return compare


greater_f = _comparison(F, ">")
equal_i = _comparison(I, "==")
greater_i = _comparison(I, ">")
shift_left = _binary(I, "shl")
shift_right = _binary(I, "lshr")


@_intrinsic
def choose(typing_context, mask, a, b):
    """`a` where the mask (-1 or 0) is set, else `b`."""

    def generate(context, builder, signature, args):
        return builder.select(builder.icmp_signed("!=", args[0], _ir.Constant(_LLVM["i"], None)), args[1], args[2])

    return a(I, a, b), generate


def _register(kind: Any, symbol: Any, name: str) -> None:
    operation = _binary(kind, name)

    @_ext.overload(symbol)
    def overloaded(a, b):
        if a == kind and b == kind:
            return lambda a, b: operation(a, b)
        return None


for _symbol, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _register(F, _symbol, _name)
for _symbol, _name in (
    (operator.add, "add"),
    (operator.sub, "sub"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
):
    _register(I, _symbol, _name)
