"""The gallery: runs each body, exports the run as HTML and photographs that in a headless Chromium.

python docs/pictures/gallery.py [NAME ...]        wants a Chromium and the extra [film] (Pillow makes the pictures small)
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from volition import Loop
from volition.loop.calibrate import Calibration
from volition.loop.played import PlayedRun
from volition.view.single import save

MOST = 60_000  # bytes of a picture
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--hide-scrollbars")
PICTURES: dict[str, tuple[list[dict[str, Any]], float, tuple[int, int], bool]] = {
    # name: stages of each run, moment s, window, dark
    "arm": ([{"channel": "thread1024", "effector": "arm", "feedback": "linear"}], 95.0, (1280, 720), False),
    "legs": ([{"channel": "thread1024", "effector": "legs", "task": "walk"}], 95.0, (1280, 720), True),
    "webgrid": (
        [{"channel": "thread1024", "decoder": "refit", "task": ("reach", {"layout": "webgrid"})}],
        95.0,
        (1280, 720),
        False,
    ),
    "cursor-phone": ([{"channel": "utah96"}], 95.0, (500, 900), True),
    "two": ([{"channel": "utah96", "decoder": name} for name in ("kalman", "wiener")], 95.0, (1280, 720), True),
}


def shrink(png: bytes) -> bytes:
    """WebP, as good as the size allows."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for scale in (1.0, 0.8, 0.65, 0.5):
        size = (round(picture.width * scale), round(picture.height * scale))
        small = picture.resize(size, Image.Resampling.LANCZOS) if scale < 1 else picture
        for quality in (85, 70, 55, 40):
            out = io.BytesIO()
            small.save(out, "WEBP", quality=quality, method=6)
            if out.tell() <= MOST:
                return out.getvalue()
    raise SystemExit("a picture cannot be made small enough")


def main() -> None:
    """Make all pictures, or those that are named."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no Chromium here")
    for name in sys.argv[1:] or PICTURES:
        runs, moment, (width, height), dark = PICTURES[name]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for i, stages in enumerate(runs):
                with Loop(**stages, seed=1, record=folder / f"run-{i}") as loop:
                    loop.close(loop.calibrate(Calibration()).run(20))
            save(folder / "page.html", [PlayedRun(folder / f"run-{i}") for i in range(len(runs))], moment - 12)
            more = ["--blink-settings=preferredColorScheme=0"] if dark else []
            address = f"{(folder / 'page.html').as_uri()}#t=12"
            command = [chromium, *FLAGS, *more, f"--window-size={width},{height}", f"--user-data-dir={folder / 'home'}"]
            shot = folder / "shot.png"
            subprocess.run(
                [*command, "--virtual-time-budget=30000", f"--screenshot={shot}", address], check=True, capture_output=True
            )
            target = Path(__file__).with_name(f"page-{name}.webp")
            target.write_bytes(shrink(shot.read_bytes()))
            print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
