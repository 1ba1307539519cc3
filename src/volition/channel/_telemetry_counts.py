"""Payloads of an implant that sends events: binned counts of all channels, or the single spikes, in a few hundred bits.

Few channels fire in a bin (1 in 18 of the simulated person's 1,024), so the channels that do are named by their distances,
and of these the few with more than one spike once more:

    counts = segment << 3 | k3/2: varint,  k1 << 4 | k2: u8,  n: varint,  m: varint,  then one string of bits:
             Rice(k1) of the n gaps between channels that fire, Rice(k2) of the m gaps, among these, between those with
             more than one spike, Rice(k3) of their counts less two; zeros up to a whole byte
    events = size of the counts: varint, counts, then 6 bits for each spike: its time in 64ths of the bin (0.3 ms
             of 20), by channel; zeros up to a whole byte

Rice(k) of n values (Rice & Plaunt 1971): first the n remainders of k bits, then the n quotients in unary, so that both are
read without a loop. k is the best for a geometric distribution of the same mean (Kiely 2004, IPN progress report 42-159).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError

_GOLDEN = math.log((math.sqrt(5) - 1) / 2)
_TIME_BITS = 6  # of an event's time within the bin; a spike lasts 1 ms
_STEPS = 1 << _TIME_BITS
_MOST_CHANNELS = 1 << 16
_CUT = "telemetry: the counts of a frame are cut off or not well formed"

Bits = NDArray[np.uint8]
Ints = NDArray[np.int64]


def encode_counts(counts: NDArray[Any], segment: int = 0) -> bytes:
    """The payload of one bin.

    Args:
        counts: `[channels]` uint16, at most 65,536 channels.
        segment: as in `Spikes`.

    Raises:
        InputError: another type or shape, a negative segment.
    """
    if counts.dtype != np.uint16 or counts.ndim != 1 or len(counts) > _MOST_CHANNELS or segment < 0:
        raise InputError(
            f"telemetry: counts must be uint16 [channels], got {counts.dtype} {counts.shape}, segment {segment}"
        )
    fires = counts.nonzero()[0]
    many = (counts[fires] > 1).nonzero()[0]
    k1, gaps = _rice(_gaps(fires))
    k2, among = _rice(_gaps(many))
    k3, more = _rice(counts[fires[many]].astype(np.int64) - 2, step=2)
    head = _varint(segment << 3 | k3 >> 1) + bytes((k1 << 4 | k2,)) + _varint(len(fires)) + _varint(len(many))
    return head + np.packbits(np.concatenate([*gaps, *among, *more])).tobytes()


def decode_counts(payload: bytes, channels: int) -> tuple[NDArray[np.uint16], int]:
    """Counts `[channels]` and segment back.

    Raises:
        InputError: cut off, too long, or not of so many channels.
    """
    head, at = _read_varint(payload, 0)
    if at >= len(payload):
        raise InputError(_CUT)
    k1, k2, k3 = payload[at] >> 4, payload[at] & 15, 2 * (head & 7)
    n, at = _read_varint(payload, at + 1)
    m, at = _read_varint(payload, at)
    if not m <= n <= channels:
        raise InputError(
            f"telemetry: {n} channels fire, {m} of them more than once, of {channels}: not a frame of this implant"
        )
    bits = np.unpackbits(np.frombuffer(payload, np.uint8, offset=at))
    gaps, used = _read_rice(bits, 0, n, k1)
    among, used = _read_rice(bits, used, m, k2)
    more, used = _read_rice(bits, used, m, k3)
    if len(bits) - used >= 8 or bits[used:].any():
        raise InputError(_CUT)
    counts = np.zeros(channels, np.uint16)
    if n:
        fires = (gaps + 1).cumsum() - 1
        many = (among + 1).cumsum() - 1
        if fires[-1] >= channels or (m and (many[-1] >= n or more.max() > 65_533)):
            raise InputError(_CUT)
        counts[fires] = 1
        counts[fires[many]] = more + 2
    return counts, head >> 3


def encode_events(
    channel: NDArray[Any], event_t_ns: NDArray[Any], t_ns: int, bin_ns: int, channels: int, segment: int = 0
) -> bytes:
    """The payload of the single spikes of the bin that ends at `t_ns`; times are kept to a 64th of the bin.

    Raises:
        InputError: a channel or a time outside the bin, more than 65,535 spikes of a channel.
    """
    channel, late = np.asarray(channel, np.int64), t_ns - np.asarray(event_t_ns, np.int64)
    if channel.shape != late.shape or channel.ndim != 1:
        raise InputError(f"telemetry: events of shape {channel.shape} with times of shape {late.shape}")
    if channel.size and not (channel.min() >= 0 and channel.max() < channels and late.min() > 0 and late.max() <= bin_ns):
        raise InputError("telemetry: an event is outside the bin (after its start, before its end) or of no channel")
    counts = np.bincount(channel, minlength=channels)
    if counts.size and counts.max() > 65_535:
        raise InputError("telemetry: more than 65535 spikes of a channel in a bin")
    step = (bin_ns - late) * _STEPS // bin_ns
    body = encode_counts(counts.astype(np.uint16), segment)
    times = step[np.lexsort((step, channel)), None] >> _DOWN[15 - _TIME_BITS :] & 1
    return _varint(len(body)) + body + np.packbits(times.astype(np.uint8)).tobytes()


def decode_events(
    payload: bytes, t_ns: int, bin_ns: int, channels: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint16], int]:
    """Channel and time of each spike (the middle of its 64th), by channel and time; counts; segment.

    Raises:
        InputError: cut off, too long, or not of so many channels.
    """
    size, at = _read_varint(payload, 0)
    counts, segment = decode_counts(payload[at : at + size], channels)
    times = np.unpackbits(np.frombuffer(payload, np.uint8, offset=min(at + size, len(payload))))
    used = _TIME_BITS * int(counts.sum(dtype=np.int64))
    if not 0 <= len(times) - used < 8 or times[used:].any():
        raise InputError(_CUT)
    step = times[:used].reshape(-1, _TIME_BITS) @ _POWERS[15 - _TIME_BITS :]
    channel = np.repeat(np.arange(channels, dtype=np.int32), counts)
    return channel, t_ns - bin_ns + (2 * step + 1) * bin_ns // (2 * _STEPS), counts, segment


def _gaps(rising: Ints) -> Ints:
    """Numbers left out before each."""
    gaps = rising - 1
    gaps[1:] -= rising[:-1]
    if len(gaps):
        gaps[0] += 1
    return gaps


def _rice(values: Ints, step: int = 1) -> tuple[int, tuple[Bits, Bits]]:
    """The parameter, a multiple of `step` up to 15, and the bits of remainders and quotients."""
    n, total = len(values), int(values.sum())
    k = 0
    if total:
        k = max(0, 1 + math.floor(math.log2(_GOLDEN / math.log(total / (total + n)))))
        k = min(k, 15) // step * step
    ends = (values >> k).cumsum() + np.arange(n)
    unary = np.zeros(int(ends[-1]) + 1 if n else 0, np.uint8)
    unary[ends] = 1
    remainders = (values[:, None] >> _DOWN[15 - k :]).astype(np.uint8) & np.uint8(1)
    return k, (remainders.ravel(), unary)


_DOWN = np.arange(14, -1, -1)
_POWERS = 1 << _DOWN


def _read_rice(bits: Bits, at: int, n: int, k: int) -> tuple[Ints, int]:
    """`n` values and the place after them."""
    if n == 0:
        return np.zeros(0, np.int64), at
    middle = at + n * k
    ends = bits[middle:].nonzero()[0][:n]
    if len(ends) < n:
        raise InputError(_CUT)
    values = _gaps(ends) << k
    if k:
        values += bits[at:middle].reshape(n, k) @ _POWERS[15 - k :]
    return values, middle + int(ends[-1]) + 1


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(9):
        if at + i >= len(data):
            break
        byte = data[at + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise InputError(_CUT)
