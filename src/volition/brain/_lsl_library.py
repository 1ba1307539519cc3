"""Lab Streaming Layer: the library pylsl (extra `[lsl]`), silenced and kept on this machine unless told otherwise.

LSL has no passwords and no encryption: whoever reaches its ports may listen, and may publish a stream under any name. By
default streams are announced to this machine only (`ResolveScope = machine`); liblsl still opens its ports (16572 and
following) on all interfaces, and only a firewall closes them. A configuration of the user's own (variable `LSLAPICFG`)
is left alone.
"""

from __future__ import annotations

import os
from typing import Any

from volition.errors import ConfigError, MissingExtraError

COUNTS, EVENTS, BROADBAND, INTENT, STIMULATION = "Counts", "Spikes", "Broadband", "Intent", "Stimulation"
"""Types of our own streams. The last two only ever go out."""

_QUIET = "[log]\nlevel = -3\n"
_MACHINE = "[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n[ports]\nIPv6 = disable\n"
_chosen: list[bool] = []  # liblsl reads its configuration once a process


def library(network: bool = False) -> Any:
    """The module pylsl.

    Args:
        network: find (and be found by) other machines too.

    Raises:
        MissingExtraError: it is not installed.
        ConfigError: this process has chosen otherwise before.
    """
    try:
        import pylsl
    except (ImportError, RuntimeError, OSError) as error:  # without its C library pylsl raises RuntimeError
        raise MissingExtraError(f"LSL needs pylsl ({error}): pip install 'volition[lsl]'") from error
    if os.environ.get("LSLAPICFG"):
        return pylsl
    if not _chosen:
        pylsl.set_config_content(_QUIET if network else _MACHINE + _QUIET)
        _chosen.append(network)
    elif _chosen[0] != network:
        scope = "the network" if _chosen[0] else "this machine"
        raise ConfigError(f"LSL speaks to {scope} in this process already; what is sent never leaves the machine beside it")
    return pylsl
