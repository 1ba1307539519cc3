"""Streaming mode of the lossless codec: blocks of all channels, each ready as soon as its last sample is there.

Model of channel c at sample t, everything causal, so that nothing but the code words is sent:

    residual r_t = x_t - x_t-1;   s_t = s_t-1 + (|r_t| - s_t-1) / 128;   class k from s every 8 samples
    P(r | k, x_t-1) ~ shape_k(|r|) width(x_t-1 + r)

The shape is a learnt, fixed distribution of each class; the width is that of the converter's code (its steps differ by a
factor of two and more, alike in all channels). Residuals are coded with rANS (`_codec_kernels`) against fixed tables; what
is too rare for a slot is escaped and sent as the code itself.

A block is (little endian)

    magic "VB", version, flags (1: restart), number u32, crc of the block before u32 (0 in a restart),
    samples u16, channels u16, lanes u16, 0 u16, escapes u32, words u32, crc32 of all other bytes u32,
    lane states u32[lanes], words u16[words], escaped codes u16[escapes]

Loss: a block needs all blocks since the last restart, which are named by the chain of checksums. After a gap the decoder
refuses blocks (`InputError`, `waiting` is true) until the next restart, of which there is one every `restart_every`
blocks (default 100: 1 s in blocks of 10 ms, costs less than 0.1 %; 1 makes each block stand alone, for a lossy radio,
and costs 1.7 %). A damaged block leaves the decoder as it was: it can be sent again.
"""

from __future__ import annotations

import struct
import zlib
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel import _codec_kernels as kernels
from volition.channel import _codec_twin as twin
from volition.channel._codec_tables import CODES, stream_tables
from volition.errors import ConfigError, InputError

HEADER = struct.Struct("<2sBBIIHHHHIII")
MAGIC, VERSION, RESTART = b"VB", 1, 1
MOST_LANES = 128
MOST_SAMPLES = 1 << 15
_FIRST_CODE, _FIRST_SCALE = 527, 384
_BOTTOM = 1 << 15

Codes = NDArray[np.uint16]


def have_numba() -> bool:
    """Whether the compiled kernels can be had."""
    return find_spec("numba") is not None


class _State:
    """What encoder and decoder both remember of each channel."""

    def __init__(self, channels: int, fast: bool | None) -> None:
        if not 1 <= channels <= 65535:
            raise ConfigError(f"the codec takes 1 to 65535 channels, got {channels}")
        self.channels = channels
        self.fast = have_numba() if fast is None else fast
        self.lanes = max(1, min(MOST_LANES, channels // 8))
        self.tables = stream_tables()
        self.before = np.empty(channels, np.uint16)
        self.scale = np.empty(channels, np.int32)
        self.base = np.zeros(channels, np.int32)
        self.row = np.zeros(channels, np.int32)
        self.work = np.zeros(channels, np.int32)
        self.index = np.zeros(channels, np.uint32)
        self.number, self.chain = 0, 0

    def restart(self) -> None:
        """Forget every channel's past."""
        self.before[:] = _FIRST_CODE
        self.scale[:] = _FIRST_SCALE


class StreamEncoder:
    """Codes `[samples, channels]` to blocks of bytes.

    Args:
        channels: how many.
        restart_every: blocks from one restart to the next; the first block is one.
        fast: compiled kernels (needs numba) or the NumPy twin; None takes what is there. The bytes are the same.
    """

    def __init__(self, channels: int, restart_every: int = 100, fast: bool | None = None) -> None:
        if restart_every < 1:
            raise ConfigError(f"restart_every must be at least 1 block, got {restart_every}")
        self._s = _State(channels, fast)
        self._every = restart_every
        self._room = 0
        self._entry = np.empty((0, channels), np.int32)
        self._out = self._side = np.empty(0, np.uint16)

    def encode(self, codes: Codes) -> bytes:
        """One block.

        Args:
            codes: uint16 `[samples, channels]`, 0..1023, at least one sample.

        Raises:
            InputError: wrong type or shape, or a code above 1023.
        """
        s = self._s
        codes = check_codes(codes)
        if codes.shape[1] != s.channels or not 1 <= len(codes) <= MOST_SAMPLES:
            raise InputError(f"a block must be [1..{MOST_SAMPLES}, {s.channels}] codes, got shape {codes.shape}")
        restart = s.number % self._every == 0
        if restart:
            s.restart()
        words, side, state = self._fast(codes) if s.fast else self._twin(codes)
        s.before[:] = codes[-1]
        flags, chain = (RESTART, 0) if restart else (0, s.chain)
        fields = (
            MAGIC,
            VERSION,
            flags,
            s.number & 0xFFFFFFFF,
            chain,
            len(codes),
            s.channels,
            s.lanes,
            0,
            len(side),
            len(words),
        )
        head = HEADER.pack(*fields, 0)[:-4]
        body = b"".join(
            (state.astype("<u4").tobytes(), words.astype("<u2", copy=False).tobytes(), side.astype("<u2").tobytes())
        )
        s.chain = zlib.crc32(body, zlib.crc32(head))
        s.number += 1
        return b"".join((head, s.chain.to_bytes(4, "little"), body))

    def _fast(self, codes: Codes) -> tuple[Codes, Codes, NDArray[np.int32]]:
        s, k = self._s, kernels.compiled()
        if len(codes) > self._room:
            self._room = len(codes)
            self._entry = np.empty((self._room, s.channels), np.int32)
            self._out = np.empty(2 * self._room * s.channels + 2, np.uint16)
            self._side = np.empty(self._room * s.channels, np.uint16)
        entry = self._entry[: len(codes)]
        t = s.tables
        escapes = k.model(codes, s.before, s.scale, s.base, t.class_of, t.table, s.row, s.index, entry, self._side)
        state = np.full(s.lanes, _BOTTOM, np.int32)
        first = k.encode_lanes(entry, state, self._out, len(self._out), s.work)
        return self._out[first:], self._side[:escapes], state

    def _twin(self, codes: Codes) -> tuple[Codes, Codes, NDArray[np.int32]]:
        s = self._s
        entry, side = twin.model(codes, s.before, s.scale, s.base, s.tables.class_of, s.tables.table)
        state = np.full(s.lanes, _BOTTOM, np.int32)
        return twin.encode_lanes(entry, state), side, state


class StreamDecoder:
    """Blocks of bytes back to codes. `waiting` is true while only a restart block can be read; `number` is the next one."""

    def __init__(self, channels: int, fast: bool | None = None) -> None:
        self._s = _State(channels, fast)
        self.waiting = True

    @property
    def number(self) -> int:
        """Number of the block that must come next."""
        return self._s.number

    def decode(self, block: bytes) -> Codes:
        """One block: uint16 `[samples, channels]`.

        Raises:
            InputError: the block is damaged, foreign or out of order. After it the decoder waits for a restart, except
                where the block was never taken in (damaged or foreign), which leaves the decoder as it was.
        """
        s = self._s
        fields, state, words, side = _take_apart(block, s)
        _, _, flags, number, chain, samples, *_ = fields
        crc = fields[-1]
        if flags & RESTART:
            s.restart()
        elif self.waiting or number != s.number & 0xFFFFFFFF or chain != s.chain:
            expected = "a restart block" if self.waiting else f"block {s.number}"
            self.waiting = True
            raise InputError(
                f"block {number} came where {expected} should: blocks were lost; decoding goes on at the next restart"
            )
        codes = np.empty((samples, s.channels), np.uint16)
        t = s.tables
        if s.fast:
            used, escapes = kernels.compiled().decode_lanes(
                codes, s.before, s.scale, s.base, t.class_of, t.table, t.lookup, state, words, s.work, s.row, side
            )
        else:
            used, escapes = twin.decode_lanes(codes, s.before, s.scale, s.base, t.class_of, t.table, state, words, side)
        if used != len(words) - s.lanes or escapes != len(side) or (state != _BOTTOM).any():
            self.waiting = True
            raise InputError(
                f"block {number}: its checksum is right, but its words do not decode; was it made by another version?"
            )
        s.before[:] = codes[-1]
        s.number, s.chain, self.waiting = number + 1, crc, False
        return codes


def warm_up() -> None:
    """Compile the kernels now (some seconds), not at the first block. Does nothing without numba."""
    if have_numba():
        codes = np.full((1, 1), _FIRST_CODE, np.uint16)
        StreamDecoder(1).decode(StreamEncoder(1).encode(codes))


def _take_apart(block: bytes, s: _State) -> tuple[tuple[Any, ...], NDArray[np.int32], Codes, Codes]:
    """Header fields, lane states, words (with one spare word a lane) and escapes of a block, all lengths checked."""
    if len(block) < HEADER.size:
        raise InputError(f"a block has at least {HEADER.size} bytes, this one has {len(block)}")
    fields = HEADER.unpack_from(block)
    magic, version, _, number, _, samples, channels, lanes, _, escapes, words, crc = fields
    if magic != MAGIC or version != VERSION:
        raise InputError(
            f"not a block of this codec (begins with {bytes(block[:3])!r}, expected {MAGIC + bytes([VERSION])!r})"
        )
    size = HEADER.size + 4 * lanes + 2 * words + 2 * escapes
    if len(block) != size:
        raise InputError(f"block {number} should have {size} bytes by its header, it has {len(block)}")
    view = memoryview(block)
    if zlib.crc32(view[HEADER.size :], zlib.crc32(view[: HEADER.size - 4])) != crc:
        raise InputError(f"block {number} is damaged: its checksum is wrong")
    if channels != s.channels or lanes != s.lanes or not 1 <= samples <= MOST_SAMPLES:
        raise InputError(
            f"block {number} holds {samples} samples of {channels} channels; this decoder takes {s.channels} channels"
        )
    if samples * channels * s.tables.least_bits > 16 * (words + 2 * lanes):
        raise InputError(f"block {number}: {words} words cannot hold {samples} x {channels} samples")
    state = np.frombuffer(block, "<u4", lanes, HEADER.size)
    if (state < _BOTTOM).any() or (state >= 1 << 31).any():
        raise InputError(f"block {number}: a coder state is out of range; was it made by another version?")
    data = np.empty(words + lanes, np.uint16)
    data[:words] = np.frombuffer(block, "<u2", words, HEADER.size + 4 * lanes)
    data[words:] = 0
    side = np.frombuffer(block, "<u2", escapes, HEADER.size + 4 * lanes + 2 * words).astype(np.uint16)
    return fields, state.astype(np.int32), data, side


def check_codes(codes: Any) -> Codes:
    """Refuse what is no `[samples, channels]` array of codes 0..1023.

    Raises:
        InputError: wrong type or shape, or a code above 1023.
    """
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint16 or codes.ndim != 2:
        kind = f"{codes.dtype} {codes.shape}" if isinstance(codes, np.ndarray) else type(codes).__name__
        raise InputError(f"codes must be a uint16 array [samples, channels], got {kind}")
    if codes.size and int(codes.max()) >= CODES:
        where = np.unravel_index(int(codes.argmax()), codes.shape)
        raise InputError(
            f"code {codes.max()} at sample {where[0]}, channel {where[1]}: the codec takes 10-bit codes, 0..1023"
        )
    return np.require(codes, requirements=("C", "W"))
