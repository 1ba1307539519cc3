"""A recorded run as a film for a talk (extra [film]): GIF by Pillow, MP4 by the ffmpeg that imageio-ffmpeg brings.

    save_film("run.gif", PlayedRun("runs/demo"))

Body, goal, spikes, intended and decoded velocity, in simulated time at its true speed. Drawn in software (`_paint.py`): no
screen, no graphics card, no browser.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError, MissingExtraError
from volition.loop.played import PlayedRun
from volition.signal import NS_PER_S, Float64
from volition.view._paint import Painter
from volition.view._tape import Held
from volition.view._wire import _ball

_GIF_HZ, _MP4_HZ = 12.5, 25.0
_SHOWN = 250  # bins of spikes and velocity
_ROWS = 128
_COLOURS = 64  # of a GIF
_INK, _MISS, _FG, _MUTED, _CARD = (91, 75, 196), (226, 140, 146), (27, 31, 36), (92, 102, 114), (244, 245, 248)
_INTENDED, _DECODED = (178, 106, 0), (23, 103, 181)


def _pillow() -> Any:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise MissingExtraError("films need Pillow, which is not installed: pip install 'volition[film]'") from None
    return Image, ImageDraw, ImageFont


class Film:
    """Draws the frames of a run.

    Args:
        run: the run.
        width: of the picture, pixels; 16 to 9.
        smooth: how many times larger it is drawn before it is made small, for smooth edges.
    """

    def __init__(self, run: PlayedRun, width: int = 640, smooth: int = 2) -> None:
        self._image, self._draw, self._font = _pillow()
        self._run, self._smooth = run, smooth
        self.size = (width // 2 * 2, round(width * 9 / 32) * 2)
        shown = run.shown
        workspace = np.asarray(shown["workspace"], float)
        scene = shown["scene"] or _ball(0.03 * float(np.ptp(workspace, axis=0).max()))
        self._bodies = scene["bodies"]
        self._held = Held(run)
        self._painter = Painter(scene, len(self._held.last.body.position) < 3, workspace)
        features, channels = shown["features"], shown["channels"]
        self._features = channels if 0 < channels < features else features
        self._fold = -(-self._features // _ROWS)
        self._level = np.zeros((_SHOWN, -(-self._features // self._fold)), np.uint8)
        self._speed = np.full((_SHOWN, 2, 2), np.nan)

    def frames(self, begin: int, end: int, every: int) -> Iterator[Any]:
        """Pictures of the bins from `begin` to before `end`, one for so many."""
        for at in self._run.read(max(0, begin - _SHOWN), end):
            self._held.take(at)
            self._keep()
            if at.number >= begin and (at.number - begin) % every == every - 1:
                yield self._picture((at.t_ns + self._run.bin_ns) / NS_PER_S)

    def _keep(self) -> None:
        """One bin of spikes and velocities."""
        last = self._held.last
        self._level = np.roll(self._level, -1, axis=0)
        self._speed = np.roll(self._speed, -1, axis=0)
        row = np.full(self._level.shape[1] * self._fold, 3, np.uint8)
        if last.features is not None:
            x, mask = last.features.x[: self._features], last.features.mask[: self._features]
            row[: self._features] = np.where(mask, 0, np.clip(np.nan_to_num(x), 0, 2)) + 3 * mask
        folded = row.reshape(-1, self._fold)
        spikes = np.where(folded == 3, 0, folded).max(axis=1)
        self._level[-1] = np.where((folded == 3).all(axis=1), 3, spikes)
        dims = min(2, len(last.decoded))
        self._speed[-1] = np.nan
        self._speed[-1, :dims, 0], self._speed[-1, :dims, 1] = last.intended[:dims], last.decoded[:dims]

    def _picture(self, t_s: float) -> Any:
        width, height = (n * self._smooth for n in self.size)
        image = self._image.new("RGB", (width, height), (255, 255, 255))
        draw = self._draw.Draw(image)
        last, run = self._held.last, self._run
        split, head = round(0.56 * width), round(0.075 * height)
        poses = self._held.poses
        if poses is None or len(poses[0]) != self._bodies:
            place = np.zeros((self._bodies, 3))
            place[1:] = _three(last.body.position)
            poses = place, np.tile([1.0, 0, 0, 0], (self._bodies, 1))
        box = (0, head, split, height - head)
        self._painter.paint(draw, box, poses, _three(last.body.position), _three(last.goal.position), last.goal.radius)
        draw.rectangle((0, 0, width, head), fill=(255, 255, 255))
        draw.rectangle((split, head, width, height), fill=(255, 255, 255))
        label = run.labels
        font = self._font.load_default(size=0.42 * head)
        words = " > ".join(label[kind] for kind in ("brain", "channel", "decoder", "effector"))
        draw.text((0.3 * head, 0.24 * head), words, fill=_FG, font=font)
        right = f"{run.story.phase(t_s)}   {t_s:6.1f} s"
        draw.text((width - 0.3 * head, 0.24 * head), right, fill=_MUTED, font=font, anchor="ra")
        gap = round(0.02 * height)
        panel = (split + gap, head + gap, width - gap, round(0.58 * height))
        self._spikes(image, draw, panel, font)
        self._velocity(draw, (split + gap, round(0.58 * height) + gap, width - gap, height - gap), font)
        return image.resize(self.size, self._image.Resampling.BOX) if self._smooth > 1 else image

    def _spikes(self, image: Any, draw: Any, box: tuple[int, int, int, int], font: Any) -> None:
        left, top, right, bottom = box
        line = round(0.09 * (bottom - top))
        draw.text((left, top), f"spikes, {self._features} channels", fill=_FG, font=font)
        palette = np.array([_CARD, tuple((a + b) // 2 for a, b in zip(_INK, _CARD, strict=True)), _INK, _MISS], np.uint8)
        picture = self._image.fromarray(palette[self._level.T])
        size = (right - left, bottom - top - line)
        image.paste(picture.resize(size, self._image.Resampling.NEAREST), (left, top + line))

    def _velocity(self, draw: Any, box: tuple[int, int, int, int], font: Any) -> None:
        left, top, right, bottom = box
        line = round(0.13 * (bottom - top))
        draw.text((left, top), "velocity", fill=_FG, font=font)
        x = left + draw.textlength("velocity ", font=font)
        draw.text((x, top), "intended", fill=_INTENDED, font=font)
        draw.text((x + draw.textlength("intended ", font=font), top), "decoded", fill=_DECODED, font=font)
        highest = 1.15 * self._run.shown["max_speed"]
        each = (bottom - top - line) / 2
        for dim in range(2):
            y = top + line + each * (dim + 0.5)
            draw.rectangle((left, y - each / 2 + 2, right, y + each / 2 - 2), fill=_CARD)
            for which, colour in ((0, _INTENDED), (1, _DECODED)):
                values = self._speed[:, dim, which]
                good = np.isfinite(values)
                xs = left + (np.flatnonzero(good) + 1) / _SHOWN * (right - left)
                ys = y - np.clip(values[good] / highest, -1, 1) * 0.46 * each
                if len(xs) > 1:
                    draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=colour, width=self._smooth)


def _three(vector: Float64) -> NDArray[np.float64]:
    """A place in space; what it lacks is 0."""
    found = np.zeros(3)
    found[: min(3, len(vector))] = vector[:3]
    return found


def _gif(path: Path, frames: Iterator[Any], hz: float) -> None:
    """One palette for all frames: what stands still costs nothing."""
    image, _, _ = _pillow()
    first = next(frames).quantize(_COLOURS, dither=image.Dither.NONE)
    rest = (frame.quantize(palette=first, dither=image.Dither.NONE) for frame in frames)
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=round(1000 / hz), loop=0, optimize=False)


def _mp4(path: Path, frames: Iterator[Any], hz: float, size: tuple[int, int]) -> None:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise MissingExtraError("MP4 needs imageio-ffmpeg, which is not installed: pip install 'volition[film]'") from None
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=hz, quality=7, macro_block_size=2, ffmpeg_log_level="error")
    writer.send(None)
    try:
        for frame in frames:
            writer.send(frame.tobytes())
    finally:
        writer.close()


def save_film(
    path: str | Path,
    run: PlayedRun,
    from_s: float | None = None,
    seconds: float = 15.0,
    width: int = 640,
    progress: Callable[[float], None] = lambda share: None,
) -> float:
    """Write a film; the ending of the name says which kind. It appears under its name only when it is complete.

    Args:
        path: where to, ending in .gif or .mp4.
        run: the run.
        from_s: where to begin, s; by default where the run proper begins.
        seconds: at most so much of it.
        width: in pixels.
        progress: told the share that is done.

    Returns:
        Length of the film, s.

    Raises:
        InputError: the place cannot be written, or the run is over before `from_s`.
        MissingExtraError: Pillow or imageio-ffmpeg is not installed.
    """
    path = Path(path)
    hz = _GIF_HZ if path.suffix == ".gif" else _MP4_HZ
    bin_s = run.bin_ns / NS_PER_S
    begin = round((run.tell().phases[-1][0] if from_s is None else from_s) / bin_s)
    every = max(1, round(1 / hz / bin_s))
    end = min(run.bins, begin + round(seconds / bin_s))
    if end - begin < every:
        raise InputError(f"{run.folder}: nothing lies beyond {begin * bin_s:g} s, the run is {run.seconds:.1f} s long")
    film = Film(run, width)
    total = (end - begin) // every

    def counted() -> Iterator[Any]:
        for i, frame in enumerate(film.frames(begin, end, every)):
            progress((i + 1) / total)
            yield frame

    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        if path.suffix == ".gif":
            _gif(part, counted(), 1 / (every * bin_s))
        else:
            _mp4(part, counted(), 1 / (every * bin_s), film.size)
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return total * every * bin_s
