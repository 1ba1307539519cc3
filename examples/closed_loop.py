"""The loop in twelve lines: a simulated person learns to move an arm through 1,024 channels, then reaches for half a minute.

    python examples/closed_loop.py [seconds]

Simulated: the person, the implant, the arm (MuJoCo), the touch. Measured: how long each stage took on this machine.
"""

import sys

from volition import Loop

loop = Loop(
    brain="person",
    channel="thread1024",
    decoder="kalman",
    effector="arm",
    feedback="linear",
    task="reach",
    seed=0,
)
report = loop.calibrate().run(seconds=float(sys.argv[1]) if len(sys.argv) > 1 else 30)
print(report)
