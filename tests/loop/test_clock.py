import time

from volition.loop.clock import Lockstep, RealTime


def test_lockstep_never_waits_and_is_never_late():
    clock = Lockstep()
    clock.wait(10**15)
    assert clock.lag_ns(0) == 0


def test_real_clock_waits_for_its_time():
    clock = RealTime()
    clock.wait(0)
    start = time.monotonic_ns()
    clock.wait(20_000_000)
    assert time.monotonic_ns() - start >= 19_000_000
    assert clock.lag_ns(20_000_000) >= 0


def test_real_clock_gives_up_time_it_cannot_catch_up_with():
    clock = RealTime(max_lag_ms=10)
    clock.wait(0)
    time.sleep(0.05)
    clock.wait(1_000_000)  # 49 ms late: dropped, and the clock goes on from here
    assert clock.dropped_ns >= 40_000_000
    assert clock.lag_ns(1_000_000) < 10_000_000
