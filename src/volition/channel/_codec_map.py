"""Samples and codes: the 10-bit converter's codes 0..1023 as they stand in 16-bit files, and the WAV container around them.

The recordings store code c as trunc(c 65535 / 1023 - 32768), measured on 743 files; the map is one to one and its inverse
is (x >> 6) + 512.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError

MAP: NDArray[np.int16] = np.trunc(np.arange(1024) * 65535 / 1023 - 32768).astype(np.int16)
"""Sample of each code."""


class Wav(NamedTuple):
    """A WAV file taken apart: bytes before the samples, `samples` `[samples, channels]` int16, bytes after them."""

    head: bytes
    samples: NDArray[np.int16]
    tail: bytes


def codes_from_samples(samples: NDArray[Any]) -> NDArray[np.uint16]:
    """int16 samples of a 10-bit converter to its codes.

    Raises:
        InputError: not int16, or a sample that no code stands for.
    """
    if samples.dtype != np.int16:
        raise InputError(f"samples must be int16, got {samples.dtype}")
    codes = ((samples >> 6) + 512).astype(np.uint16)
    wrong = np.flatnonzero(MAP[codes].ravel() != samples.ravel())
    if wrong.size:
        value = samples.ravel()[wrong[0]]
        raise InputError(
            f"sample {wrong[0]} is {value}, which is no value of the 10-bit converter; store such data as it is"
        )
    return codes


def samples_from_codes(codes: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Codes 0..1023 to the int16 samples of the recordings."""
    return MAP[codes]


def parse_wav(raw: bytes) -> Wav:
    """Take a 16-bit PCM WAV file apart; head + samples + tail are all its bytes.

    Raises:
        InputError: not a RIFF/WAVE file of 16-bit PCM, or cut off.
    """
    if len(raw) < 12 or raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        raise InputError("not a WAV file: it does not begin with RIFF ... WAVE")
    at, channels = 12, 0
    while at + 8 <= len(raw):
        name, size = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt " and size >= 16 and body + 16 <= len(raw):
            kind, channels = (int.from_bytes(raw[body + i : body + i + 2], "little") for i in (0, 2))
            bits = int.from_bytes(raw[body + 14 : body + 16], "little")
            if kind not in (1, 0xFFFE) or bits != 16 or channels == 0:
                raise InputError(f"WAV file holds format {kind} with {bits} bits; only 16-bit PCM can be read")
        if name == b"data":
            if channels == 0:
                raise InputError("WAV file has its samples before its format")
            end = body + size // (2 * channels) * 2 * channels
            if body + size > len(raw):
                raise InputError(f"WAV file is cut off: {len(raw) - body} of {size} bytes of samples are there")
            samples = np.frombuffer(raw[body:end], "<i2").astype(np.int16).reshape(-1, channels)
            return Wav(raw[:body], samples, raw[end:])
        at = body + size + size % 2
    raise InputError("WAV file has no samples")
