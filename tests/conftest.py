"""One BLAS thread, as the command sets it: threads that wait for each other on a busy machine cost tenfold.

A cluster that a test starts asks for a token. Ray reads it once in a process, at its first call: it must be there before.
"""

import os
import secrets

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(16), RAY_USAGE_STATS_ENABLED="0")
