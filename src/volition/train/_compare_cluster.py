"""Units of work on an existing Ray cluster (extra `[ray]`)."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from volition.errors import ConfigError, MissingExtraError
from volition.train._compare_local import ONE_THREAD
from volition.train._compare_run import Outcome
from volition.train.compare import Unit

_AHEAD = 2  # units a processor: one in work, one waiting beside it
_PATIENCE_S = 5.0


def _answers(address: str) -> None:
    """See that somebody listens there: Ray itself asks a dead address again and again, for minutes.

    Raises:
        ConfigError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto", or a name that Ray knows
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"--cluster {address}: no Ray cluster answers: {error}") from None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let nothing through to the standard error: Ray writes there, past Python, what is told in one line here."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Cluster:
    """The processors of a Ray cluster; every node must have the same version of volition installed.

    Ray's own retries are off: a unit whose worker dies is given out again by the one who asked, as on one machine.

    Args:
        address: "auto", "host:port" or "ray://host:port".
        most: units in work at a time; 0: twice the processors.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: nothing answers at the address.
    """

    def __init__(self, address: str, most: int = 0) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise MissingExtraError("--cluster needs Ray: pip install 'volition[ray]'") from None
        self._ray = ray
        _answers(address)
        try:
            with _silence():
                ray.init(
                    address=address, runtime_env={"env_vars": ONE_THREAD}, log_to_driver=False, logging_level=logging.ERROR
                )
        except Exception as error:  # Ray has a dozen of its own
            said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
            hint = "is it up, and RAY_AUTH_TOKEN set if it wants one?"
            raise ConfigError(f"--cluster {address}: no Ray cluster answers: {said}; {hint}") from None
        self._most = most or max(1, _AHEAD * int(ray.cluster_resources().get("CPU", 1)))
        self._running: dict[Any, str] = {}
        self._work = ray.remote(num_cpus=1, max_retries=0)(_work)

    @property
    def free(self) -> int:
        """How many more units it takes now."""
        return self._most - len(self._running)

    def submit(self, unit: Unit) -> None:
        """Give a unit to the cluster."""
        self._running[self._work.remote(asdict(unit))] = unit.key

    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended, at the latest after so long."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> Outcome:
        key, errors = self._running.pop(reference), self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError as error:
            said = str(error.cause or error).strip().splitlines()
            return Outcome(key, error=f"the node cannot do it: {said[-1] if said else 'unknown'}")
        except errors.RayError as error:  # the worker or its node is gone
            return Outcome(key, error=f"its worker died twice: {type(error).__name__}", died=True)
        return Outcome(key, answer.get("row"), answer.get("error", ""))

    def close(self) -> None:
        """Cancel what is left, and leave the cluster as it was."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()


def _work(content: dict[str, Any]) -> dict[str, Any]:
    """What a node does with a unit."""
    from volition.train._compare_worker import answer

    return answer(content)
