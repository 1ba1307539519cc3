"""Closes the loop: one step function, clocks, guards, the log of a run and its replay."""
