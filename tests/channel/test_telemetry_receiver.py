"""The receiver's books: every frame sent is delivered, late, lost or still kept, and nothing is kept for long."""

from hypothesis import given
from hypothesis import strategies as st

from volition.channel._telemetry import Frame, Mode, encode_frame
from volition.channel._telemetry_receiver import Receiver

P = 20_000_000


def data(k, first=0):
    return encode_frame(Frame(Mode.COUNTS, k + first, (k + 1) * P, bytes([k % 256])))


def filled(*ks, first=0):
    receiver = Receiver(P)
    for k in ks:
        receiver.push(data(k, first), (k + 1) * P)
    return receiver


def test_in_order():
    receiver = filled(0, 1, 2)
    assert [receiver.take((k + 1) * P).payload[0] for k in range(3)] == [0, 1, 2]
    assert (receiver.lost, receiver.late, receiver.missed, receiver.backlog) == (0, 0, 0, 0)


def test_the_wait_is_that_of_the_first_copy():
    receiver = filled()
    for after in (7, 9):
        receiver.push(data(0), P + after)
    receiver.take(P)
    assert receiver.waited_ns == 7


def test_lost_reordered_and_doubled():
    receiver = filled(0, 3)
    assert receiver.lost == 2
    receiver.push(data(1), 4 * P)
    assert (receiver.lost, receiver.reordered) == (1, 1)
    for k in (0, 1, 3):
        receiver.push(data(k), 4 * P)
    assert (receiver.duplicates, receiver.received, receiver.lost) == (3, 6, 1)
    found = [receiver.take((k + 1) * P) for k in range(4)]
    assert [f and f.sequence for f in found] == [0, 1, None, 3]
    assert receiver.missed == 1


def test_late_is_dropped_and_counted():
    receiver = filled(0)
    assert receiver.take(P).sequence == 0
    assert receiver.take(2 * P) is None
    receiver.push(data(1), 3 * P)
    receiver.push(data(2), 3 * P)
    assert (receiver.late, receiver.missed, receiver.lost, receiver.backlog) == (1, 1, 0, 1)
    assert receiver.take(3 * P).sequence == 2
    receiver.push(data(1), 3 * P)  # its copy
    assert (receiver.late, receiver.duplicates) == (1, 1)


def test_nobody_takes_yet_nothing_piles_up():
    receiver = Receiver(P, capacity=8)
    for k in range(1000):
        receiver.push(data(k), (k + 1) * P)
    assert receiver.backlog == 8
    assert receiver.late == 992
    assert receiver.take(1000 * P).sequence == 999
    assert receiver.backlog == 0


def test_what_is_no_frame_is_counted():
    receiver = filled(0)
    receiver.push(b"noise", P)
    receiver.push(data(1)[:-1], P)
    receiver.push(data(1), 1000 * P)  # a frame of another time than now
    assert (receiver.corrupt, receiver.received, receiver.backlog) == (3, 1, 1)


def test_numbers_go_round_and_a_long_silence_is_bridged():
    receiver = filled(0, 1, first=65_535)
    assert (receiver.lost, receiver.restarts) == (0, 0)
    late = 200_000  # periods of silence: the numbers have gone round three times
    receiver.push(data(late, first=65_535), (late + 1) * P)
    assert (receiver.lost, receiver.restarts) == (late - 2, 0)


def test_a_sender_switched_on_again_is_no_loss():
    receiver = filled(*range(100), first=500)
    for k in (100, 101, 103):
        receiver.push(encode_frame(Frame(Mode.COUNTS, k - 100, (k + 1) * P, b"")), (k + 1) * P)
    assert (receiver.restarts, receiver.lost, receiver.duplicates) == (1, 1, 0)


def test_a_sender_that_paused_is_no_loss():
    receiver = filled(0)
    receiver.push(encode_frame(Frame(Mode.COUNTS, 1, 50 * P, b"")), 50 * P)
    assert (receiver.restarts, receiver.lost) == (0, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 90), st.integers(1, 2)), min_size=1, max_size=60))
def test_the_books_balance(fates):
    """Each frame arrives or not, after 0-90 ms, once or twice; every period is closed 30 ms after its end."""
    arrivals = []
    for k, (arrives, delay_ms, copies) in enumerate(fates):
        arrivals += [((k + 1) * P + (delay_ms + 7 * c) * 1_000_000, k) for c in range(copies) if arrives]
    end = len(fates)  # one more, which always arrives, so that what is lost before it is known
    arrivals = sorted([*arrivals, ((end + 8) * P, end + 7)])
    order = [k for _, k in arrivals[:-1]]
    receiver, delivered = Receiver(P), 0
    for k in range(end + 8):
        now = (k + 1) * P + 30_000_000
        while arrivals and arrivals[0][0] <= now:
            receiver.push(data(arrivals[0][1]), arrivals.pop(0)[0])
            assert receiver.backlog <= 8
        frame = receiver.take((k + 1) * P)
        assert frame is None or frame.payload[0] == k
        delivered += frame is not None
    sent_on_air = [k for k, (arrives, _, _) in enumerate(fates) if arrives]
    assert receiver.missed + delivered == end + 8
    assert delivered + receiver.late == len(sent_on_air) + 1
    if order:  # numbers before the first that came were never expected
        assert receiver.lost == sum(k not in sent_on_air for k in range(order[0], end + 7))
    assert receiver.backlog == 0
