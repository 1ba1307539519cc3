import json
import struct

import numpy as np
import pytest

from volition.loop.played import PlayedRun
from volition.view._tape import PIECE, Held, Tape


def cut(piece):
    """What a piece says of itself, and its frames."""
    (size,) = struct.unpack_from("<I", piece)
    at, frames = 4 + size, []
    while at < len(piece):
        (length,) = struct.unpack_from("<I", piece, at)
        frames.append(piece[at + 4 : at + 4 + length])
        at += 4 + length
    return json.loads(piece[4 : 4 + size]), frames


def heads(frames):
    return [struct.unpack_from("<BBHId", frame) for frame in frames]


def test_pieces_hold_every_bin_once_in_any_order(kept):
    tape = Tape(PlayedRun(kept))
    assert tape.pieces == -(-900 // PIECE)
    pieces = {n: cut(tape.piece(n)) for n in (3, 0, 2, 1)}
    numbers = [head[3] for n in range(4) for head in heads(pieces[n][1])]
    assert numbers == list(range(1, 901))
    times = [head[4] for n in range(4) for head in heads(pieces[n][1])]
    assert np.allclose(times, 0.02 * np.arange(1, 901))
    assert {row[0] for row in pieces[1][0]["latency"]} >= {"brain", "decoder", "step"}


@pytest.mark.parametrize("every", [3, 16])
def test_fewer_frames_still_hold_the_spikes_of_all_bins(kept, every):
    tape = Tape(PlayedRun(kept), every)
    rows = [head for n in range(tape.pieces) for head in heads(cut(tape.piece(n))[1])]
    assert len(rows) == sum(-(-min(PIECE, 900 - PIECE * n) // every) for n in range(tape.pieces))
    assert sum(head[2] for head in rows) == 900


def test_contents_tell_the_run_once_it_was_read_through(kept):
    run = PlayedRun(kept)
    tape = Tape(run)
    before = tape.contents()
    assert not before["whole"]
    assert before["order"] is None
    tape.prepare()
    contents = json.loads(json.dumps(tape.contents(), allow_nan=False))
    assert contents["whole"]
    assert [name for _, name in contents["phases"]] == ["observe", "assist 0.5", "run"]
    assert [what.split()[0] for _, what in contents["acts"]] == ["kill", "push"]
    assert contents["score"] == pytest.approx(run.report["score"])
    assert sorted(contents["order"]["order"]) == list(range(96))
    assert contents["hello"]["scene"]["bodies"] == 3


def test_where_nothing_came_what_was_before_stays(kept):
    run = PlayedRun(kept)
    held, first = Held(run), next(run.read())
    held.take(first)
    body = held.last.body
    held.take(type(first)(1, first.t_ns + 20_000_000, {**first.signals, "body": None, "features": None}))
    assert held.last.body is body
    assert held.last.features is None
