"""Which files pytest leaves alone: compiled kernels import numba, and have no doctests, where the extra [fast] is absent."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("numba") else ["src/volition/*/_*_numba.py", "src/volition/*/_*_simd.py"]
