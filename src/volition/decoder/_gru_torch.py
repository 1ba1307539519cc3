"""The GRU as it is trained: whole windows at once, in PyTorch.

    r = s(W_ir u + b_ir + W_hr h + b_hr),  z = s(W_iz u + b_iz + W_hz h + b_hz)
    n = tanh(W_in u + b_in + r (W_hn h + b_hn)),  h <- (1 - z) n + z h

(Cho et al. 2014, arXiv 1406.1078, in the form of cuDNN and PyTorch), with linear heads: the mean, the logarithm of the
expected squared error, and, for training alone, the means of the bins around.
"""

from __future__ import annotations

from typing import Any

from volition.decoder._members_torch import side_by_side


def build(width: int, outputs: int, config: Any) -> Any:
    """A module `u [rows, bins, width] -> mean, logvar [members, rows, bins, outputs]`, mean of other bins or None."""
    from torch import nn

    class Member(nn.Module):
        """One network."""

        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(config.dropout)
            self.also = nn.Linear(config.units, outputs * len(config.also)) if config.also else None
            self.read = nn.Linear(width, config.read_in) if config.read_in else None
            inside = 0.0 if config.layers == 1 else config.dropout
            self.gru = nn.GRU(config.read_in or width, config.units, config.layers, batch_first=True, dropout=inside)
            self.mean = nn.Linear(config.units, outputs)
            self.logvar = nn.Linear(config.units, outputs)

        def forward(self, u: Any) -> Any:
            """Mean, logarithm of the error variance, which teaches h nothing, and the mean of the bins around."""
            h, _ = self.gru(u if self.read is None else self.read(u))
            dropped = self.drop(h)
            return self.mean(dropped), self.logvar(h.detach()), None if self.also is None else self.also(dropped)

    return side_by_side(Member, config.members)
