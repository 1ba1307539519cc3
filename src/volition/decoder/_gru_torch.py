"""The GRU as it is trained: whole windows at once, in PyTorch.

    r = s(W_ir u + b_ir + W_hr h + b_hr),  z = s(W_iz u + b_iz + W_hz h + b_hz)
    n = tanh(W_in u + b_in + r (W_hn h + b_hn)),  h <- (1 - z) n + z h

(Cho et al. 2014, arXiv 1406.1078, in the form of cuDNN and PyTorch), with two linear heads: the mean, and the logarithm of
the expected squared error.
"""

from __future__ import annotations

from typing import Any


def build(width: int, outputs: int, config: Any) -> Any:
    """A module `u [rows, bins, width] -> mean, logvar [members, rows, bins, outputs]`."""
    import torch
    from torch import nn

    class Member(nn.Module):
        """One network."""

        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(config.dropout)
            self.read = nn.Linear(width, config.read_in) if config.read_in else None
            inside = 0.0 if config.layers == 1 else config.dropout
            self.gru = nn.GRU(config.read_in or width, config.units, config.layers, batch_first=True, dropout=inside)
            self.mean = nn.Linear(config.units, outputs)
            self.logvar = nn.Linear(config.units, outputs)

        def forward(self, u: Any) -> Any:
            """Mean and logarithm of the error variance; the latter learns nothing about h."""
            if self.read is not None:
                u = self.read(u)
            h, _ = self.gru(self.drop(u))
            return self.mean(self.drop(h)), self.logvar(h.detach())

    class Gru(nn.Module):
        """All members side by side."""

        def __init__(self) -> None:
            super().__init__()
            self.m = nn.ModuleList(Member() for _ in range(config.members))

        def forward(self, u: Any) -> Any:
            """Stacked outputs of the members."""
            found = [member(u) for member in self.m]
            return torch.stack([a for a, _ in found]), torch.stack([b for _, b in found])

    return Gru()
