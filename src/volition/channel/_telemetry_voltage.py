"""Payloads of broadband telemetry: voltage as it is, packed to 10 bits, or through the lossless codec.

    wired    = samples: u16, channels: u16, bits: u8 (16 or 10), reserved: u8 0, then the samples, time-major:
               int16 little endian, or codes (sample + 512) of 10 bits each, the highest bit first, zeros up to a whole byte
    lossless = a block of the streaming codec (`_codec_stream.py`), of codes

A block of the codec needs those since the last restart: on a link that loses, `restart_every=1` makes each stand alone.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._codec_stream import StreamDecoder, StreamEncoder
from volition.channel._telemetry import Frame, Mode
from volition.errors import ConfigError, InputError

_HEAD = struct.Struct("<HHBB")
_ZERO = 512  # code of 0 LSB
_WEIGHTS = (1 << np.arange(9, -1, -1)).astype(np.uint16)

Samples = NDArray[np.int16]


def encode_wired(samples: Samples, bits: int = 16) -> bytes:
    """The payload of one chunk.

    Args:
        samples: `[samples, channels]` int16, LSB; for 10 bits within -512..511.
        bits: 16 or 10.

    Raises:
        InputError: another type or shape, or a sample that 10 bits cannot hold.
        ConfigError: another number of bits.
    """
    _check(samples)
    if bits not in (10, 16):
        raise ConfigError(f"telemetry: wired voltage has 10 or 16 bits, not {bits}")
    head = _HEAD.pack(*samples.shape, bits, 0)
    if bits == 16:
        return head + samples.astype("<i2", copy=False).tobytes()
    codes = _codes(samples).ravel()
    return head + np.packbits((codes[:, None] & _WEIGHTS) > 0).tobytes()


def decode_wired(payload: bytes) -> Samples:
    """The samples back, `[samples, channels]` int16.

    Raises:
        InputError: cut off, too long, or not such a payload.
    """
    if len(payload) < _HEAD.size:
        raise InputError(f"telemetry: a chunk of voltage has at least {_HEAD.size} bytes, this has {len(payload)}")
    samples, channels, bits, reserved = _HEAD.unpack_from(payload)
    n = samples * channels
    if bits not in (10, 16) or reserved or len(payload) != _HEAD.size + -(-n * bits // 8):
        raise InputError(f"telemetry: {len(payload)} bytes are no chunk of {samples} x {channels} samples of {bits} bits")
    body = np.frombuffer(payload, np.uint8, offset=_HEAD.size)
    if bits == 16:
        return body.view("<i2").astype(np.int16).reshape(samples, channels)
    flat = np.unpackbits(body)
    if flat[10 * n :].any():
        raise InputError("telemetry: a chunk of voltage does not end in zeros")
    codes = flat[: 10 * n].reshape(n, 10) @ _WEIGHTS
    return (codes.astype(np.int16) - _ZERO).reshape(samples, channels)


class VoltageEncoder:
    """Chunks of voltage to frames.

    Args:
        mode: `Mode.WIRED` or `Mode.LOSSLESS`.
        channels: how many.
        bits: of wired samples, 16 or 10.
        restart_every: blocks from one restart of the codec to the next.
    """

    def __init__(self, mode: Mode, channels: int, bits: int = 16, restart_every: int = 100) -> None:
        if mode not in (Mode.WIRED, Mode.LOSSLESS):
            raise ConfigError(f"telemetry: voltage goes as wired or lossless, not as {mode.name.lower()}")
        self._mode, self._channels, self._bits = mode, channels, bits
        self._codec = StreamEncoder(channels, restart_every) if mode is Mode.LOSSLESS else None
        self._sequence = 0

    def encode(self, samples: Samples, t_ns: int) -> Frame:
        """The frame of a chunk `[samples, channels]` that ends at `t_ns`.

        Raises:
            InputError: another type or shape, or a sample that 10 bits cannot hold.
        """
        _check(samples)
        if samples.shape[1] != self._channels:
            raise InputError(f"telemetry: {samples.shape[1]} channels, expected {self._channels}")
        payload = encode_wired(samples, self._bits) if self._codec is None else self._codec.encode(_codes(samples))
        frame = Frame(self._mode, self._sequence, t_ns, payload)
        self._sequence += 1
        return frame


class VoltageDecoder:
    """Frames to chunks of voltage. `waiting` is true while the codec can only go on at its next restart."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._codec = StreamDecoder(channels)

    @property
    def waiting(self) -> bool:
        """Whether lossless frames cannot be read until the next restart."""
        return bool(self._codec.waiting)

    def decode(self, frame: Frame) -> Samples:
        """The chunk `[samples, channels]` int16.

        Raises:
            InputError: not a frame of voltage, of other channels, or frames before it were lost.
        """
        if frame.mode is Mode.WIRED:
            samples = decode_wired(frame.payload)
            if samples.shape[1] != self._channels:
                raise InputError(f"telemetry: {samples.shape[1]} channels, expected {self._channels}")
            return samples
        if frame.mode is not Mode.LOSSLESS:
            raise InputError(f"telemetry: a frame of {frame.mode.name.lower()} holds no voltage")
        return self._codec.decode(frame.payload).astype(np.int16) - np.int16(_ZERO)


def _check(samples: Any) -> None:
    if not isinstance(samples, np.ndarray) or samples.dtype != np.int16 or samples.ndim != 2:
        raise InputError("telemetry: voltage must be an int16 array [samples, channels]")
    if max(samples.shape) > 65_535:
        raise InputError(f"telemetry: a chunk has at most 65535 samples of as many channels, got {samples.shape}")


def _codes(samples: Samples) -> NDArray[np.uint16]:
    if samples.size and not -_ZERO <= samples.min() <= samples.max() < _ZERO:
        raise InputError("telemetry: voltage outside -512..511 LSB does not fit into 10 bits; send it wired with 16")
    return (samples + np.int16(_ZERO)).astype(np.uint16)
