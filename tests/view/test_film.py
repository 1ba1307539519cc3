import os

import numpy as np
import pytest

from volition.errors import InputError
from volition.loop.played import PlayedRun
from volition.view import film
from volition.view._paint import Camera, Painter, cloud, hull

REQUIRED = os.environ.get("VOLITION_TORCH") == "required"  # where everything is installed, nothing is skipped
pil = __import__("PIL.Image", fromlist=["Image"]) if REQUIRED else pytest.importorskip("PIL.Image", reason="needs Pillow")


def test_a_hull_holds_all_points_and_turns_one_way():
    points = np.random.default_rng(0).normal(size=(200, 2))
    corners = np.array(hull(points))
    edge = np.roll(corners, -1, axis=0) - corners
    for corner, (dx, dy) in zip(corners, edge, strict=True):
        away = points - corner
        assert (dx * away[:, 1] - dy * away[:, 0] >= -1e-9).all()


@pytest.mark.parametrize("shape", ["sphere", "ellipsoid", "capsule", "cylinder", "box"])
def test_points_of_a_shape_reach_as_far_as_it_does(shape):
    points = cloud(shape, [0.3, 0.2, 0.1])
    most = {"sphere": (0.3, 0.3, 0.3), "capsule": (0.3, 0.3, 0.5), "cylinder": (0.3, 0.3, 0.2)}.get(shape, (0.3, 0.2, 0.1))
    assert np.allclose(np.abs(points).max(axis=0), most, rtol=0.03)


def test_the_camera_keeps_up_up_and_right_right():
    camera = Camera(True, np.zeros(3), 1.0, (0, 0, 400, 300))
    middle, up, right = camera.see(np.array([[0, 0, 0], [0, 0.1, 0], [0.1, 0, 0]]))
    assert np.allclose(middle, (200, 150))
    assert up[1] < middle[1]
    assert right[0] > middle[0]
    assert np.allclose(right[1], middle[1])


def test_what_is_near_hides_what_is_far():
    from PIL import Image, ImageDraw

    def ball(body, red):
        colour = [red, 0.0, 1 - red, 1.0]
        return {"shape": "sphere", "size": [0.3, 0, 0], "pos": [0, 0, 0], "quat": [1, 0, 0, 0], "rgba": colour, "body": body}

    scene = {"bodies": 3, "geoms": [ball(1, 1.0), ball(2, 0.0)]}
    turns = np.tile([1.0, 0, 0, 0], (3, 1))
    for near, red in ((1, True), (2, False)):
        places = np.zeros((3, 3))
        places[near] = (0.2, -0.4, 0.2)  # towards the eye
        image = Image.new("RGB", (200, 200))
        painter = Painter(scene, False, np.array([[-1, -1, -1], [1, 1, 1]]))
        painter.paint(ImageDraw.Draw(image), (0, 0, 200, 200), (places, turns), np.zeros(3), np.zeros(3), 0.0)
        at = painter_camera(painter).see(places[near][None])[0]
        pixel = image.getpixel((round(at[0]), round(at[1])))
        assert (pixel[0] > pixel[2]) is red


def painter_camera(painter):
    return Camera(False, painter._offset, painter._radius, (0, 0, 200, 200))


def test_a_gif_plays_as_long_as_the_run_and_its_body_moves(kept, tmp_path):
    seconds = film.save_film(tmp_path / "a.gif", PlayedRun(kept), 9.0, 2.0, 320)
    with pil.open(tmp_path / "a.gif") as gif:
        assert gif.size == (320, 180)
        assert gif.n_frames == 25
        assert gif.n_frames * gif.info["duration"] == pytest.approx(1000 * seconds)
        first = np.asarray(gif.convert("RGB")).astype(int)
        gif.seek(24)
        last = np.asarray(gif.convert("RGB")).astype(int)
    body = np.abs(first - last)[20:, :170].sum(axis=2) > 60
    assert 50 < body.sum() < 0.5 * body.size
    assert list(tmp_path.iterdir()) == [tmp_path / "a.gif"]


def test_an_mp4_can_be_read_back(kept, other, tmp_path):
    if REQUIRED:
        import imageio_ffmpeg
    else:
        imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs imageio-ffmpeg")
    for folder, end in ((kept, 1.0), (other, 1.0)):
        path = tmp_path / f"{folder.name}.mp4"
        film.save_film(path, PlayedRun(folder), 2.0, end, 320)
        assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (25, pytest.approx(1.0))


def test_beyond_the_end_there_is_no_film(kept, tmp_path):
    with pytest.raises(InputError, match="nothing lies beyond"):
        film.save_film(tmp_path / "a.gif", PlayedRun(kept), 1000.0)
    assert not list(tmp_path.iterdir())


def test_who_stands_on_a_floor_is_shown_in_space_and_the_picture_goes_along(tmp_path):
    from PIL import Image, ImageDraw

    trunk = {"shape": "capsule", "size": [0.1, 0.4, 0], "pos": [0, 0, 0], "quat": [1, 0, 0, 0], "rgba": None, "body": 1}
    floor = {"shape": "plane", "size": [0, 0, 0], "pos": [0, 0, 0], "quat": [1, 0, 0, 0], "rgba": None, "body": 0}
    painter = Painter({"bodies": 2, "geoms": [floor, trunk]}, True, np.array([[-20.0, -20.0], [20.0, 20.0]]))
    tops, middles = [], []
    for x in (0.0, 5.0):
        image = Image.new("RGB", (200, 200))
        at, poses = np.array([x, 0, 0]), (np.array([[0, 0, 0], [x, 0, 0.5]]), np.tile([1.0, 0, 0, 0], (2, 1)))
        painter.paint(ImageDraw.Draw(image), (0, 0, 200, 200), poses, at, np.array([x + 2, 0, 0]), 0.1)
        pixels = np.asarray(image).astype(int)
        blue = np.argwhere(pixels[:, :, 2] - pixels[:, :, 0] > 60)
        tops.append(blue[:, 0].min())
        middles.append(blue[:, 1].mean())
        assert blue[:, 0].max() - blue[:, 0].min() > 80  # it fills the picture, though its workspace is 40 m wide
    assert min(tops) > 5
    assert middles[0] == pytest.approx(middles[1], abs=3)
