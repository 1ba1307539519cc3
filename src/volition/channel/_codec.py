"""Lossless codec for 10-bit voltage: whole arrays and whole WAV files, in the densest or the streaming mode.

    data = encode(codes)                  # uint16 [samples, channels], 0..1023
    codes = decode(data)
    small = encode_file(raw)              # all bytes of a WAV file (or of any other: then zlib)
    raw = decode_file(small)

`mode="dense"` predicts and mixes for each channel by itself (`_codec_dense`); `mode="stream"` is the fast block codec
(`_codec_stream`), which also runs live through `StreamEncoder` and `StreamDecoder`. With numba (extra `[fast]`) the kernels
are compiled at their first use; without, the same bytes come out slowly.

A container is (little endian): magic "VL", version, kind and flags, channels u16, samples u32, extra u32, crc32 of the
decoded codes u32, crc32 of all other bytes u32; then, in a file whose header is not the usual 44 bytes, `extra` bytes of
zlib holding what stands around the samples (otherwise `extra` is the sampling rate); then for each channel (dense) or block
(stream) its length u32 and its bytes. A damaged container gives an `InputError`: nothing is decoded before its checksum is
right, and nothing is returned before the checksum of the result is.
"""

from __future__ import annotations

import struct
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from volition.channel import _codec_dense as dense
from volition.channel._codec_map import codes_from_samples, parse_wav, samples_from_codes
from volition.channel._codec_stream import MOST_SAMPLES, StreamDecoder, StreamEncoder, check_codes, have_numba
from volition.channel._codec_tables import dense_tables
from volition.errors import ConfigError, InputError

Mode = Literal["dense", "stream"]
Codes = NDArray[np.uint16]

HEADER = struct.Struct("<2sBBHIIII")
MAGIC, VERSION = b"VL", 1
_STORED, _DENSE, _STREAM = 0, 1, 2
_KIND, _FILE, _USUAL = 3, 4, 8
_BLOCK = 195
"""Samples of a streaming block: 10 ms at 19,531 Hz."""
_DENSEST = 20_000
"""Samples that one byte can hold at most: ten choices of at least 4.4e-5 bit each."""


def encode(codes: Codes, mode: Mode = "dense", fast: bool | None = None) -> bytes:
    """Compress an array.

    Args:
        codes: uint16 `[samples, channels]`, 0..1023.
        mode: "dense" or "stream".
        fast: compiled kernels or plain Python; None takes numba where it is there. The bytes are the same.

    Raises:
        InputError: wrong type or shape, or a code above 1023.
        ConfigError: unknown mode.
    """
    return _pack(codes, mode, fast, 0, 0, b"")


def decode(data: bytes, fast: bool | None = None) -> Codes:
    """Give back the array that `encode` took.

    Raises:
        InputError: damaged, foreign or cut off, or a compressed file.
    """
    kind, channels, samples, _, body = _open(data)
    if kind & _FILE:
        raise InputError("this is a compressed file, not an array: decode_file reads it")
    return _unpack(data, kind, channels, samples, body, fast)


def encode_file(raw: bytes, mode: Mode = "dense", fast: bool | None = None) -> bytes:
    """Compress a file so that `decode_file` gives back every byte.

    WAV files of a 10-bit converter (see `_codec_map`) go through the codec; anything else is kept with zlib.
    """
    try:
        wav = parse_wav(raw)
        codes = codes_from_samples(wav.samples)
    except InputError:
        body = zlib.compress(raw, 9)
        head = HEADER.pack(MAGIC, VERSION, _STORED | _FILE, 0, len(raw), 0, zlib.crc32(raw), 0)[:-4]
        return head + zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "little") + body
    rate = int.from_bytes(wav.head[24:28], "little")
    if wav.tail == b"" and wav.head == _usual_head(rate, codes.shape):
        return _pack(codes, mode, fast, _FILE | _USUAL, rate, b"")
    around = zlib.compress(len(wav.head).to_bytes(4, "little") + wav.head + wav.tail, 9)
    return _pack(codes, mode, fast, _FILE, len(around), around)


def decode_file(data: bytes, fast: bool | None = None) -> bytes:
    """Give back the file that `encode_file` took.

    Raises:
        InputError: damaged, foreign or cut off, or a compressed array.
    """
    kind, channels, samples, extra, body = _open(data)
    if not kind & _FILE:
        raise InputError("this is a compressed array, not a file: decode reads it")
    if kind & _KIND == _STORED:
        raw = _inflate(body, samples)
        if len(raw) != samples or zlib.crc32(raw) != _content_crc(data):
            raise InputError("the stored file does not fit its checksum")
        return raw
    head, tail = b"", b""
    if not kind & _USUAL:
        if extra > len(body):
            raise InputError("the compressed file is cut off")
        around = _inflate(body[:extra], 1 << 30)
        size = int.from_bytes(around[:4], "little")
        if len(around) < 4 + size:
            raise InputError("the compressed file's header is damaged")
        head, tail, body = around[4 : 4 + size], around[4 + size :], body[extra:]
    codes = _unpack(data, kind, channels, samples, body, fast)
    if kind & _USUAL:
        head = _usual_head(extra, codes.shape)
    return b"".join((head, samples_from_codes(codes).astype("<i2").tobytes(), tail))


def _pack(codes: Codes, mode: Mode, fast: bool | None, flags: int, extra: int, around: bytes) -> bytes:
    codes = check_codes(codes)
    samples, channels = codes.shape
    if channels > 65535 or samples >= 1 << 32:
        raise InputError(f"the codec takes up to 65535 channels of 2^32 - 1 samples, got shape {codes.shape}")
    if mode == "dense":
        kind, parts = _DENSE, _dense_parts(codes, fast)
    elif mode == "stream":
        kind, parts = _STREAM, _stream_parts(codes, fast)
    else:
        raise ConfigError(f"unknown codec mode {mode!r}; known: dense, stream")
    body = around + b"".join(b"".join((len(p).to_bytes(4, "little"), p)) for p in parts)
    content = zlib.crc32(codes.astype("<u2", copy=False).tobytes())
    head = HEADER.pack(MAGIC, VERSION, kind | flags, channels, samples, extra, content, 0)[:-4]
    return head + zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "little") + body


def _open(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Kind, channels, samples, extra and body of a container whose checksum is right."""
    if len(data) < HEADER.size:
        raise InputError(f"compressed voltage has at least {HEADER.size} bytes, this has {len(data)}")
    magic, version, kind, channels, samples, extra, _, crc = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise InputError(f"not compressed voltage (begins with {bytes(data[:3])!r}, expected {MAGIC + bytes([VERSION])!r})")
    body = bytes(data[HEADER.size :])
    if zlib.crc32(body, zlib.crc32(data[: HEADER.size - 4])) != crc:
        raise InputError("compressed voltage is damaged or cut off: its checksum is wrong")
    if kind & _KIND == _KIND or kind > 15:
        raise InputError(f"compressed voltage of kind {kind} is unknown; was it made by another version?")
    return kind, channels, samples, extra, body


def _unpack(data: bytes, kind: int, channels: int, samples: int, body: bytes, fast: bool | None) -> Codes:
    if kind & _KIND == _STORED:
        raise InputError("compressed voltage of an unknown kind; was it made by another version?")
    parts = _split(body)
    read = _read_dense if kind & _KIND == _DENSE else _read_stream
    codes = read(parts, samples, channels, fast)
    if zlib.crc32(codes.astype("<u2", copy=False).tobytes()) != _content_crc(data):
        raise InputError("compressed voltage decodes to something else than was put in; was it made by another version?")
    return codes


def _content_crc(data: bytes) -> int:
    return int(HEADER.unpack_from(data)[6])


def _split(body: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "little")
        if at + 4 + size > len(body):
            raise InputError("compressed voltage is cut off inside")
        parts.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return parts


def _dense_parts(codes: Codes, fast: bool | None) -> list[bytes]:
    fast = have_numba() if fast is None else fast
    parts = []
    for column in codes.T:
        x = column.astype(np.int64)
        room = 64 + 3 * len(x)
        buffer = np.zeros(room, np.uint8)
        used, _ = dense.run(x, buffer, False, dense_tables(), fast)
        if used > room:
            raise InputError(f"{len(x)} samples did not fit into {room} bytes: they are no recording; keep them as they are")
        parts.append(buffer[:used].tobytes())
    return parts


def _read_dense(parts: list[bytes], samples: int, channels: int, fast: bool | None) -> Codes:
    fast = have_numba() if fast is None else fast
    if len(parts) != channels or any(samples > _DENSEST * (len(p) + 4) for p in parts):
        raise InputError(f"compressed voltage cannot hold {channels} channels of {samples} samples: its header is wrong")
    codes = np.empty((samples, channels), np.uint16)
    for c, part in enumerate(parts):
        x = np.zeros(samples, np.int64)
        dense.run(x, np.frombuffer(part, np.uint8).copy(), True, dense_tables(), fast)
        codes[:, c] = x
    return codes


def _stream_parts(codes: Codes, fast: bool | None) -> list[bytes]:
    if not codes.size:
        return []
    size = _BLOCK if codes.shape[1] >= 16 else MOST_SAMPLES
    encoder = StreamEncoder(codes.shape[1], restart_every=1 << 32, fast=fast)
    return [encoder.encode(codes[t : t + size]) for t in range(0, len(codes), size)]


def _read_stream(parts: list[bytes], samples: int, channels: int, fast: bool | None) -> Codes:
    if not parts:
        if samples and channels:
            raise InputError("compressed voltage holds no blocks: its header is wrong")
        return np.empty((samples, channels), np.uint16)
    decoder = StreamDecoder(max(channels, 1), fast)
    blocks = [decoder.decode(part) for part in parts]
    codes = np.concatenate(blocks)
    if codes.shape != (samples, channels):
        raise InputError(f"compressed voltage holds {codes.shape} samples, its header says {(samples, channels)}")
    return codes


def _inflate(data: bytes, most: int) -> bytes:
    try:
        machine = zlib.decompressobj()
        out = machine.decompress(data, most + 1)
    except zlib.error as error:
        raise InputError(f"the compressed file is damaged: {error}") from None
    if len(out) > most or not machine.eof:
        raise InputError("the compressed file is longer than its header says, or cut off")
    return out


def _usual_head(rate: int, shape: tuple[int, ...]) -> bytes:
    """The 44 bytes that most programs write before 16-bit PCM."""
    samples, channels = shape
    size = 2 * samples * channels
    if size + 36 >= 1 << 32:
        return b""
    fields = (
        size + 36,
        b"WAVEfmt ",
        16,
        1,
        channels,
        rate,
        (2 * channels * rate) & 0xFFFFFFFF,
        2 * channels,
        16,
        b"data",
        size,
    )
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", *fields)
