"""One BLAS thread, as the command sets it: threads that wait for each other on a busy machine cost tenfold."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
