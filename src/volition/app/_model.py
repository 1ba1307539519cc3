"""A fitted decoder in a folder: what it learnt as `model.npz`, what it is as `model.json`. No code and no pickle is in it.

    model.json = {"format", "version", "decoder", "config", "features", "intent", "bin_ns", "sha256", "trained"}

`decoder` is what `find` takes; `sha256` is of model.npz, so that a damaged or exchanged file is noticed; `trained` says on
what, with which seed and by which command. A network lies beside them as `model.onnx`, which any ONNX runtime can run; its
hash is `onnx_sha256`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition import __version__
from volition.app._output import plain, write_whole
from volition.app._toml import typed
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_MS
from volition.stage import Saveable, find

FORMAT, SPEC, ARRAYS, NETWORK = "volition-model 1", "model.json", "model.npz", "model.onnx"
_ONNX = "onnx"  # the array that is written as a file of its own
_SAY = {str: "text", int: "an integer", list: "a list", dict: "a table"}
_KEYS: dict[str, type] = {
    "decoder": str,
    "config": dict,
    "features": int,
    "intent": list,
    "bin_ns": int,
    "sha256": str,
    "trained": dict,
}


@dataclass(frozen=True)
class Model:
    """What `model.json` holds.

    Attributes:
        decoder: name of the component, "module:Class" or file.
        config: fields of its configuration.
        features: width of its input.
        intent: names of its outputs.
        bin_ns: width of the bins that it was fitted on.
        sha256: of model.npz.
        trained: data, their hash, seed, command.
        onnx_sha256: of model.onnx, "" where there is none.
    """

    decoder: str
    config: Mapping[str, Any]
    features: int
    intent: tuple[str, ...]
    bin_ns: int
    sha256: str
    trained: Mapping[str, Any]
    onnx_sha256: str = ""


def save(
    folder: Path, name: str, decoder: Any, features: int, intent: tuple[str, ...], bin_ns: int, trained: Mapping[str, Any]
) -> None:
    """Write a fitted decoder; the spec comes last, so that a folder with a spec is whole.

    Raises:
        ConfigError: the decoder cannot be saved, or the folder cannot be written.
    """
    arrays = decoder.arrays() if isinstance(decoder, Saveable) else {}
    if not arrays:
        raise ConfigError(f"decoder {name} has nothing to save")
    packed = io.BytesIO()
    keep: dict[str, Any] = dict(arrays)
    network = np.asarray(keep.pop(_ONNX)).tobytes() if _ONNX in keep else b""
    np.savez(packed, **keep)
    content = packed.getvalue()
    write_whole(folder / ARRAYS, content, "model")
    if network:
        write_whole(folder / NETWORK, network, "model")
    spec = {
        "format": FORMAT,
        "version": __version__,
        "decoder": name,
        "config": dataclasses.asdict(decoder.config),
        "features": features,
        "intent": intent,
        "bin_ns": bin_ns,
        "sha256": hashlib.sha256(content).hexdigest(),
        "trained": dict(trained),
        **({"onnx_sha256": hashlib.sha256(network).hexdigest()} if network else {}),
    }
    write_whole(folder / SPEC, json.dumps(plain(spec), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "model")


def describe(folder: Path) -> Model:
    """What a model's folder says of itself.

    Raises:
        InputError: the folder holds no model, or its spec is damaged.
    """
    path = folder / SPEC
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder}: no model is here ({SPEC}: {error.strerror})") from None
    except ValueError:
        raise InputError(f"{path}: damaged: not JSON") from None
    if not isinstance(spec, dict) or spec.get("format") != FORMAT:
        raise InputError(f"{path}: not the spec of a model ({FORMAT!r})")
    for key, kind in _KEYS.items():
        if not isinstance(spec.get(key), kind):
            raise InputError(f"{path}: {key!r} is missing or not {_SAY[kind]}")
    fields: dict[str, Any] = {key: tuple(spec[key]) if key == "intent" else spec[key] for key in _KEYS}
    onnx = spec.get("onnx_sha256", "")
    if not isinstance(onnx, str):
        raise InputError(f"{path}: 'onnx_sha256' is not text")
    return Model(**fields, onnx_sha256=onnx)


def _read(path: Path, sha256: str) -> bytes:
    """A file of the model, as the spec knows it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{path}: is not the file that {SPEC} was written for: truncated or exchanged")
    return content


def load(folder: Path) -> tuple[Model, Any]:
    """The fitted decoder of a folder.

    Raises:
        InputError: there is none, it is damaged, or its arrays do not fit the decoder.
        ConfigError: its configuration does not fit the decoder that is installed.
    """
    model = describe(folder)
    path = folder / ARRAYS
    content = _read(path, model.sha256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path}: damaged, or it holds objects instead of numbers") from None
    if model.onnx_sha256:
        arrays[_ONNX] = np.frombuffer(_read(folder / NETWORK, model.onnx_sha256), np.uint8)
    cls = find("decoder", model.decoder)
    where = str(folder / SPEC)
    decoder = cls(cls.Config(**{key: typed(cls.Config, key, value, where) for key, value in model.config.items()}))
    decoder.restore(arrays)
    return model, decoder


def check_bin(model: Model, bin_ns: int) -> None:
    """Refuse a model that was fitted on other bins than the loop has.

    Raises:
        ConfigError: it was.
    """
    if model.bin_ns != bin_ns:
        raise ConfigError(
            f"the model was fitted on bins of {model.bin_ns / NS_PER_MS:g} ms, the loop has {bin_ns / NS_PER_MS:g} ms"
        )
