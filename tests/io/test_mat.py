"""Our reader of the format against scipy's."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import random_array

from volition.io._mat5 import Cell, Struct, load
from volition.io.mat import variables


def same(ours, theirs):
    """Whether two values are equal, all the way down."""
    if isinstance(ours, Struct):
        assert theirs.dtype.names == tuple(ours.items[0])
        for element, reference in zip(ours.items, theirs.ravel(order="F"), strict=True):
            for field in element:
                same(element[field], reference[field])
    elif isinstance(ours, Cell):
        for item, reference in zip(ours.items, theirs.ravel(order="F"), strict=True):
            same(item, reference)
    elif hasattr(theirs, "toarray"):
        np.testing.assert_array_equal(ours, theirs.toarray())
    elif theirs.dtype.kind == "U" and theirs.size == 0:
        assert list(ours) == [""]
    else:
        assert ours.dtype == theirs.dtype or theirs.dtype.kind == "U"
        np.testing.assert_array_equal(ours, theirs)


def compare(path):
    theirs = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    ours = load(Path(path).read_bytes())
    assert list(ours) == list(theirs)
    for name in ours:
        if ours[name] is not None:
            same(ours[name], theirs[name])
    return ours


@pytest.mark.parametrize("compress", [False, True])
def test_every_kind_of_value_reads_as_scipy_reads_it(tmp_path, compress):
    rng = np.random.default_rng(5)
    cells = np.empty((2, 2), object)
    cells[:] = [[np.arange(3.0), "text"], [np.ones((2, 5), np.uint8), np.zeros((0, 3))]]
    arrays = {kind: rng.integers(0, 100, (3, 4)).astype(kind) for kind in "bBhHiIqQfd"}
    arrays = {f"a{kind}{kind.isupper():d}": value for kind, value in arrays.items()}
    values = arrays | {
        "cube": rng.normal(size=(2, 3, 4)),
        "flag": np.array([True, False]),
        "cells": cells,
        "deep": {"one": {"two": np.arange(4), "name": "Jöhn"}, "list": cells},
        "many": np.array([(1.0, 2.0), (3.0, 4.0)], [("x", float), ("y", float)]),
        "word": "monkey",
        "rows": np.array(["ab", "cd"]),
        "nothing": np.zeros((0, 0)),
        "sparse": random_array((30, 40), density=0.1, rng=rng, format="csc"),
        "complex": np.array([1 + 2j]),
    }
    savemat(tmp_path / "all.mat", values, do_compression=compress)
    assert compare(tmp_path / "all.mat")["complex"] is None
    flat = variables(tmp_path / "all.mat")
    np.testing.assert_array_equal(flat["deep.one.two"], [[0, 1, 2, 3]])
    np.testing.assert_array_equal(np.ravel(flat["many.y"]), [2, 4])
    assert "complex" not in flat


def test_real_files_read_as_scipy_reads_them():
    folder = os.environ.get("VOLITION_DATA")
    if not folder:
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    paths = sorted(Path(folder, "motor").glob("*.mat"))
    assert len(paths) == 5
    for path in paths:
        assert compare(path)
