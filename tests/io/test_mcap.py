import json
import os

import numpy as np
import pytest

from volition.errors import InputError
from volition.io.mcap import write_mcap
from volition.loop.played import PlayedRun

if os.environ.get("VOLITION_TORCH") == "required":  # where everything is installed, nothing is skipped
    import mcap.reader as mcap_reader
else:
    mcap_reader = pytest.importorskip("mcap.reader", reason="needs mcap")


@pytest.fixture(scope="module")
def messages(kept, tmp_path_factory):
    """Topic -> [(time, message)], and the schemas, as the library reads them."""
    path = write_mcap(PlayedRun(kept), tmp_path_factory.mktemp("mcap") / "run.mcap")
    found, schemas = {}, {}
    with path.open("rb") as stream:
        reader = mcap_reader.make_reader(stream, validate_crcs=True)
        for schema, channel, message in reader.iter_messages():
            assert channel.message_encoding == "json"
            assert schema.encoding == "jsonschema"
            schemas[channel.topic] = (schema.name, json.loads(schema.data))
            found.setdefault(channel.topic, []).append((message.log_time, json.loads(message.data)))
        assert {row.name for row in reader.iter_metadata()} == {"run"}
    return found, schemas


def fits(value, schema):
    """Whether a value is what a schema says (types, and nothing that it does not know)."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types = {"object": dict, "array": list, "number": (int, float), "integer": int, "string": str, "boolean": bool}
    if not any(value is None if k == "null" else isinstance(value, types[k]) for k in kinds):
        return False
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        return value.keys() <= known.keys() and all(fits(v, known[k]) for k, v in value.items())
    return not isinstance(value, list) or "items" not in schema or all(fits(v, schema["items"]) for v in value)


def test_every_message_is_what_its_schema_says(messages):
    found, schemas = messages
    for topic, rows in found.items():
        if topic != "/act":  # whose other fields depend on the act
            assert all(fits(message, schemas[topic][1]) for _, message in rows[:: max(1, len(rows) // 20)]), topic
    assert schemas["/scene"][0] == "foxglove.SceneUpdate"
    assert schemas["/tf"][0] == "foxglove.FrameTransforms"


def test_all_bins_are_there_with_their_numbers(messages, kept):
    found, _ = messages
    run = PlayedRun(kept)
    for topic in ("/spikes", "/features", "/intent", "/body", "/tf", "/touch", "/stim"):
        assert [t for t, _ in found[topic]] == [20_000_000 * n for n in range(run.bins)], topic
    at = next(run.read(300))
    assert found["/spikes"][300][1]["counts"] == at.get("spikes").counts.tolist()
    assert np.allclose(found["/intent"][300][1]["commanded"], at.get("intent").values)
    lost = found["/features"][300][1]["missing"]
    assert lost == np.flatnonzero(at.get("features").mask).tolist()
    assert all(found["/features"][300][1]["x"][i] is None for i in lost)
    assert [message["act"] for _, message in found["/act"]].count("kill") == 1


def test_the_body_stands_where_it_stood(messages, kept):
    found, _ = messages
    run = PlayedRun(kept)
    poses = next(run.read(200)).get("poses")
    transforms = found["/tf"][200][1]["transforms"]
    assert [row["child_frame_id"] for row in transforms] == [f"body_{n}" for n in range(len(poses))]
    for row, pose in zip(transforms, poses, strict=True):
        assert np.allclose([row["translation"][k] for k in "xyz"], pose[:3])
        assert np.allclose([row["rotation"][k] for k in "wxyz"], pose[3:])
    first = found["/scene"][0][1]["entities"]
    assert {entity["frame_id"] for entity in first} == {"body_0", "body_1", "body_2"}
    capsules = [entity["cylinders"] for entity in first if entity["cylinders"]]
    assert len(capsules) == 2
    goals = {tuple(message["position"]) for _, message in found["/goal"]}
    assert len(goals) > 1
    assert len(found["/scene"]) == 1 + len(found["/goal"])


def test_a_place_that_cannot_be_written_is_one_line_and_leaves_nothing(kept, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_mcap(PlayedRun(kept), tmp_path / "missing" / "run.mcap")
    assert not list(tmp_path.iterdir())
