"""Measuring the codec on recordings: ratio with all headers counted, against 16 and 10 bits, and speed; every byte compared.

`python -m volition.channel._codec_measure FOLDER` prints both tables for a folder of one-channel WAV files. The tables of
the codec were learnt on every second file (by name, from the first); "other" is the rest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from volition.channel._codec import decode_file, encode_file
from volition.channel._codec_map import codes_from_samples, parse_wav
from volition.channel._codec_stream import StreamDecoder, StreamEncoder
from volition.errors import InputError

Codes = NDArray[np.uint16]


@dataclass(frozen=True)
class Result:
    """What one measurement found.

    Attributes:
        samples: of all channels together.
        size: compressed bytes, all headers counted.
        encode_rt: seconds of data per second of CPU (one core), median over blocks; of all its channels at once.
        decode_rt: the same for decoding.
        encode_best_rt: fastest block.
        decode_best_rt: the same for decoding.
    """

    samples: int
    size: int
    encode_rt: float
    decode_rt: float
    encode_best_rt: float
    decode_best_rt: float

    @property
    def ratio16(self) -> float:
        """Against 16-bit samples."""
        return 2 * self.samples / self.size

    @property
    def ratio10(self) -> float:
        """Against packed 10-bit samples."""
        return 1.25 * self.samples / self.size


def read_folder(folder: Path) -> list[bytes]:
    """All WAV files by name."""
    files = [p.read_bytes() for p in sorted(folder.glob("*.wav"))]
    if not files:
        raise InputError(f"{folder}: no WAV files here")
    return files


def measure_files(files: Sequence[bytes], rate: float = 19_531.0) -> Result:
    """Densest mode, file by file. A speed is that of one channel.

    Raises:
        InputError: a file did not come back byte for byte.
    """
    encode_s, decode_s, samples, size = [], [], 0, 0
    for i, raw in enumerate(files):
        count = parse_wav(raw).samples.size
        t0 = time.thread_time()
        small = encode_file(raw)
        t1 = time.thread_time()
        back = decode_file(small)
        t2 = time.thread_time()
        if back != raw:
            raise InputError(f"file {i} did not come back byte for byte")
        encode_s.append((t1 - t0) * rate / count)
        decode_s.append((t2 - t1) * rate / count)
        samples += count
        size += len(small)
    return _result(samples, size, encode_s, decode_s)


def stretches(files: Sequence[bytes], channels: int = 1024) -> Codes:
    """Cut files into `channels` different stretches, as long as possible, side by side: `[samples, channels]`."""
    codes = [codes_from_samples(parse_wav(raw).samples).ravel() for raw in files]
    n = sum(map(len, codes)) // channels
    while sum(len(c) // n for c in codes) < channels:
        n -= 1
    cut = [c[i * n : (i + 1) * n] for c in codes for i in range(len(c) // n)]
    return np.ascontiguousarray(np.stack(cut[:channels], 1))


def measure_stream(codes: Codes, block: int = 195, rate: float = 19_531.0, restart_every: int = 100) -> Result:
    """Streaming mode in blocks (195 samples: 10 ms), all channels at once; speed without the first, compiling, blocks.

    Raises:
        InputError: a block did not come back.
    """
    encoder = StreamEncoder(codes.shape[1], restart_every)
    decoder = StreamDecoder(codes.shape[1])
    encode_s, decode_s, size = [], [], 0
    for t in range(0, len(codes), block):
        x = codes[t : t + block]
        t0 = time.thread_time()
        data = encoder.encode(x)
        t1 = time.thread_time()
        back = decoder.decode(data)
        t2 = time.thread_time()
        if not np.array_equal(back, x):
            raise InputError(f"the block at sample {t} did not come back")
        encode_s.append((t1 - t0) * rate / len(x))
        decode_s.append((t2 - t1) * rate / len(x))
        size += len(data)
    return _result(codes.size, size, encode_s, decode_s)


def _result(samples: int, size: int, encode_s: list[float], decode_s: list[float]) -> Result:
    encode_s, decode_s = (v[2:] if len(v) > 4 else v for v in (encode_s, decode_s))
    encode_rt, decode_rt = (float(1 / np.median(v)) for v in (encode_s, decode_s))
    return Result(samples, size, encode_rt, decode_rt, 1 / min(encode_s), 1 / min(decode_s))


def table(files: Sequence[bytes]) -> str:
    """Both modes on the files not learnt from and on all."""
    lines = ["mode    files   ratio/16  ratio/10  encode x RT (best)  decode x RT (best)"]
    for mode in ("stream", "dense"):
        for name, chosen in (("other", files[1::2]), ("all", files)):
            r = measure_files(chosen) if mode == "dense" else measure_stream(stretches(chosen))
            speed = [f"{a:8.1f} ({b:.1f})" for a, b in ((r.encode_rt, r.encode_best_rt), (r.decode_rt, r.decode_best_rt))]
            lines.append(f"{mode:7} {name:7} {r.ratio16:.4f}    {r.ratio10:.4f}  {speed[0]:>18}  {speed[1]:>18}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(read_folder(Path(sys.argv[1]))))
