"""Frames of the implant's telemetry: what kind, which, of when, and a checksum over all of it.

    frame = version << 4 | mode: u8, sequence: u16, time: u32, payload, crc: u32        (little endian, 11 bytes and payload)

Of the time (ns, 64 bits) the lower half is sent; the receiver, whose clock is within 2.1 s of the sender's, knows the upper
half. The checksum is taken over the whole time: who has a wrong idea of it finds a damaged frame, never a wrong time.

Checksum: CRC-32 (IEEE 802.3). A link of 100 frames a second of which 1 % are damaged would take a false frame for true once
in 18 hours with 16 bits, in 194 days with 24, in 136 years with 32; the fourth byte costs 0.4 kbit/s at 50 frames a second.
Up to three wrong bits, and a burst of up to 32, are always found in frames of this size (Koopman & Chakravarty 2004, DSN).

Modes: `WIRED` and `LOSSLESS` voltage (`_telemetry_voltage.py`), `COUNTS` and `EVENTS` (`_telemetry_counts.py`).
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

from volition.errors import InputError

VERSION = 1
SEQUENCES = 1 << 16
_HEAD = struct.Struct("<BHI")
_CRC = struct.Struct("<I")
_TIME = 1 << 32
OVERHEAD = _HEAD.size + _CRC.size
"""Bytes of a frame that are not payload."""


class Mode(enum.IntEnum):
    """What a payload holds."""

    WIRED = 0
    LOSSLESS = 1
    COUNTS = 2
    EVENTS = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        mode: what the payload holds.
        sequence: number of the frame, modulo 65,536.
        t_ns: end of the bin or of the chunk it speaks of.
        payload: bytes, by mode.
    """

    mode: Mode
    sequence: int
    t_ns: int
    payload: bytes


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame.

    Raises:
        InputError: a negative time.
    """
    if not 0 <= frame.t_ns < 1 << 63:
        raise InputError(f"telemetry: a frame's time must be 0 .. 2^63 - 1 ns, got {frame.t_ns}")
    head = _HEAD.pack(VERSION << 4 | frame.mode, frame.sequence % SEQUENCES, frame.t_ns % _TIME)
    body = head + frame.payload
    return body + _CRC.pack(_checksum(body, frame.t_ns))


def decode_frame(data: bytes, near_ns: int) -> Frame:
    """Give back the frame that `encode_frame` took.

    Args:
        data: the bytes as received.
        near_ns: the receiver's clock.

    Raises:
        InputError: damaged, cut off, foreign, or more than 2.1 s away from the receiver's clock.
    """
    if len(data) < OVERHEAD:
        raise InputError(f"telemetry: a frame has at least {OVERHEAD} bytes, this has {len(data)}")
    kind, sequence, low = _HEAD.unpack_from(data)
    t_ns = near_ns + (low - near_ns + _TIME // 2) % _TIME - _TIME // 2
    body = data[: -_CRC.size]
    if t_ns < 0 or _checksum(body, t_ns) != _CRC.unpack_from(data, len(body))[0]:
        raise InputError("telemetry: a frame is damaged or of another time: its checksum is wrong")
    if kind >> 4 != VERSION or kind & 15 > max(Mode):
        raise InputError(
            f"telemetry: version {kind >> 4}, mode {kind & 15} is unknown; was the frame made by another version?"
        )
    return Frame(Mode(kind & 15), sequence, t_ns, bytes(body[_HEAD.size :]))


def _checksum(body: bytes, t_ns: int) -> int:
    return zlib.crc32((t_ns >> 32).to_bytes(4, "little"), zlib.crc32(body))
