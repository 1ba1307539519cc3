import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.loop.loop import Loop
from volition.view._wire import Act, Encoder, RefusedError, order, parse, plain, status


@pytest.mark.parametrize(
    ("message", "act"),
    [
        ('{"act": "pause"}', Act("pause")),
        ('{"act": "step"}', Act("step")),
        ('{"act": "speed", "value": 0}', Act("speed", 0.0)),
        ('{"act": "assist", "value": 1}', Act("assist", 1.0)),
        ('{"act": "kill", "value": 0.25}', Act("kill", 0.25)),
        ('{"act": "touch", "value": false}', Act("touch", False)),
    ],
)
def test_what_is_on_the_list_is_understood(message, act):
    assert parse(message) == act


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "[]",
        "{}",
        b'{"act": "pause"}',
        "[" * 100_000,
        '{"act": 1}',
        '{"act": ["pause"]}',
        '{"act": "arm"}',
        '{"act": "fit"}',
        '{"act": "collect", "value": true}',
        '{"act": "stim", "value": 1}',
        '{"act": "__class__"}',
        '{"act": "pause", "value": 1}',
        '{"act": "pause", "more": 1}',
        '{"act": "assist"}',
        '{"act": "assist", "value": true}',
        '{"act": "assist", "value": "0.5"}',
        '{"act": "assist", "value": 1.01}',
        '{"act": "assist", "value": -0.1}',
        '{"act": "assist", "value": NaN}',
        '{"act": "speed", "value": Infinity}',
        '{"act": "speed", "value": 1e400}',
        '{"act": "kill", "value": [1]}',
        '{"act": "touch", "value": 1}',
        '{"act": "oracle", "value": null}',
    ],
)
def test_nothing_else_is(message):
    with pytest.raises(RefusedError):
        parse(message)


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps)))
def test_no_message_whatever_does_more_than_be_refused(message):
    try:
        act = parse(message)
    except RefusedError:
        return
    assert act.name in ("pause", "resume", "step", "restart")


@given(st.sampled_from(["assist", "drop", "kill", "speed"]), st.floats() | st.integers())
def test_a_value_out_of_range_never_passes(name, value):
    try:
        act = parse(json.dumps({"act": name, "value": value}))
    except RefusedError:
        return
    assert 0 <= act.value <= (100 if name == "speed" else 1)


def unpack(frame, hello):
    """The frame as the page takes it apart."""
    k, bodies, features = len(hello["intent"]), hello["scene"]["bodies"], hello["features"]
    kind, flags, n, number = struct.unpack_from("<BBHI", frame)
    at = 48
    found = {"kind": kind, "flags": flags, "n": n, "bin": number, "t": struct.unpack_from("<d", frame, 8)[0]}
    found["head"] = np.frombuffer(frame, "<f4", 8, 16)
    parts = (
        ("decoded", "<f4", k),
        ("intended", "<f4", k),
        ("commanded", "<f4", k),
        ("scale", "<f4", 2),
        ("position", "<f4", 3 * bodies),
        ("quaternion", "<i2", 4 * bodies),
        ("touch", "u1", len(hello["taxels"])),
        ("stim", "u1", hello["electrodes"]),
        ("raster", "u1", n * -(-features // 4)),
    )
    for name, kind, size in parts:
        found[name] = np.frombuffer(frame, kind, size, at)
        at += size * np.dtype(kind).itemsize
    assert at == len(frame)
    return found


def levels(raster, n, features):
    bits = raster.reshape(n, -1)
    return np.stack([bits >> s & 3 for s in (0, 2, 4, 6)], axis=-1).reshape(n, -1)[:, :features]


@pytest.mark.parametrize(("effector", "channels"), [("arm", 96), ("cursor", 37)])
def test_a_frame_carries_the_state_of_the_loop(effector, channels):
    from volition.brain.person import Person, PersonConfig

    loop = Loop(
        brain=Person(PersonConfig(channels=channels)),
        channel="ideal",
        decoder="random",
        effector=effector,
        feedback="linear",
    )
    encoder = Encoder(loop)
    hello = json.loads(encoder.hello())
    assert [kind for kind, _ in hello["stages"]] == ["brain", "channel", "decoder", "effector", "feedback", "task"]
    loop.act("kill", share=0.2)
    x, missing = [], []

    def watch(loop):
        features = loop.last.features
        x.append(features.x.copy())
        missing.append(features.mask.copy())
        encoder.add(features)

    loop.advance(0.2, watch)
    frame = unpack(encoder.frame(loop, True), hello)
    assert (frame["kind"], frame["flags"], frame["n"], frame["bin"], frame["t"]) == (1, 1, 10, 10, loop.t_ns / 1e9)
    assert np.allclose(frame["head"][:2], loop.last.goal.position)
    assert np.allclose(frame["head"][4:6], loop.last.body.position)
    for name in ("decoded", "intended"):
        assert np.array_equal(frame[name], getattr(loop.last, name))
    expected = np.where(missing, 3, np.clip(np.nan_to_num(x), 0, 2))
    assert (expected == 3).sum() == 10 * round(0.2 * channels)
    assert np.array_equal(levels(frame["raster"], 10, channels), expected)
    assert unpack(encoder.frame(loop, False), hello)["n"] == 0
    if effector == "arm":
        position, quaternion = loop.effector.poses()
        assert np.allclose(frame["position"].reshape(-1, 3), position, atol=1e-6)
        assert np.allclose(frame["quaternion"].reshape(-1, 4) / 32767, quaternion, atol=1e-4)
    else:
        assert np.allclose(frame["position"].reshape(-1, 3)[1, :2], loop.last.body.position)


def test_touch_and_current_are_shown_on_their_own_scale():
    loop = Loop(channel="ideal", decoder="random", effector="arm", feedback="linear")
    encoder = Encoder(loop)
    loop.last.touch = type(loop.last.touch)(0, np.array([0, 4.0, 2.0, 0, 0, 0, 0, 0]))
    amplitude = np.zeros(loop.setup.electrodes)
    amplitude[3] = 5.0
    loop.last.delivered = type(loop.last.delivered)(0, amplitude, amplitude, amplitude)
    frame = unpack(encoder.frame(loop, False), json.loads(encoder.hello()))
    assert np.allclose(frame["touch"] / 255 * frame["scale"][0], loop.last.touch.pressure, atol=0.02)
    assert np.allclose(frame["stim"] / 255 * frame["scale"][1], amplitude, atol=0.05)


def test_a_broken_sensor_and_a_body_gone_astray_still_make_a_frame():
    loop = Loop(channel="ideal", decoder="random", effector="arm", feedback="linear")
    loop.last.touch = type(loop.last.touch)(0, np.array([np.nan, 4.0, np.inf, 0, 0, 0, 0, 0]))
    loop.effector.poses = lambda: (np.full((3, 3), np.nan), np.full((3, 4), np.nan))
    encoder = Encoder(loop)
    frame = unpack(encoder.frame(loop, False), json.loads(encoder.hello()))
    assert frame["touch"][0] == 0
    assert (frame["quaternion"] == 0).all()


def test_a_thousand_channels_fit_into_two_megabits_at_fifty_frames_a_second():
    from volition.brain.person import Person, PersonConfig

    loop = Loop(brain=Person(PersonConfig(channels=1024)), channel="ideal", decoder="random", effector="arm")
    encoder = Encoder(loop)
    sizes = []

    def watch(loop):
        encoder.add(loop.last.features)
        sizes.append(len(encoder.frame(loop, False)))

    loop.advance(1.0, watch)
    bodies = 100  # as many as a body of 100 joints has, 20 bytes each
    assert len(sizes) == 50
    assert (sum(sizes) + 50 * 20 * bodies) * 8 < 2e6


def test_the_status_is_json_without_nan_and_says_what_the_controls_stand_at():
    loop = Loop(channel="ideal", decoder="random")
    loop.act("drop", share=0.5)
    loop.advance(0.1)
    content = json.loads(status(loop, paused=True), parse_constant=lambda name: pytest.fail(name))
    assert content["drop"] == 0.5
    assert content["touch"] is True
    assert content["paused"] is True
    assert {"brain", "decoder", "step"} <= {row[0] for row in content["latency"]}
    assert plain({"a": float("inf"), 1: np.float32(2)}) == {"a": None, "1": 2.0}


def test_the_unknown_stand_last_in_the_order():
    message = json.loads(order(np.array([1.0, np.nan, -2.0, 0.5])))
    assert message == {"order": [2, 3, 0, 1], "known": 3}
