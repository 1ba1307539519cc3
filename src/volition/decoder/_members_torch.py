"""Several networks side by side, as they are trained: one module, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def side_by_side(member: Callable[[], Any], count: int) -> Any:
    """`count` members as the module `m`; what each gives is stacked, None where they give nothing."""
    import torch
    from torch import nn

    class Members(nn.Module):
        """All members side by side."""

        def __init__(self) -> None:
            super().__init__()
            self.m = nn.ModuleList(member() for _ in range(count))

        def forward(self, u: Any) -> Any:
            """Stacked outputs of the members."""
            found = zip(*(one(u) for one in self.m), strict=True)
            return tuple(None if part[0] is None else torch.stack(part) for part in found)

    return Members()
