"""The causal transformer as it is trained: whole windows at once, in PyTorch.

Every bin attends to itself and to the `context - 1` bins before it, in each layer; how far back a bin lies enters as a
learnt bias of each head (Shaw et al. 2018, arXiv 1803.02155, in the additive form of Raffel et al. 2020, JMLR 21:140), which
knows only the distance and therefore suits a cache that rolls. Layer norm comes first in each block (Xiong et al. 2020).
"""

from __future__ import annotations

from typing import Any

from volition.decoder._members_torch import side_by_side


def _block(config: Any) -> Any:
    """The class of a block."""
    import torch
    from torch import nn
    from torch.nn.functional import gelu, scaled_dot_product_attention

    d, heads, reach = config.units, config.heads, config.context

    class Block(nn.Module):
        """Attention, then two layers on each bin alone."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.up, self.down = nn.Linear(d, config.feedforward), nn.Linear(config.feedforward, d)
            self.drop = nn.Dropout(config.dropout)
            slopes = 2.0 ** -torch.arange(1, heads + 1) if heads > 1 else torch.zeros(1)
            self.bias = nn.Parameter(-slopes[:, None] * torch.arange(reach)[None] * 0.5)  # recent bins first

        def forward(self, x: Any, lag: Any, far: Any) -> Any:
            """One block."""
            rows, bins, _ = x.shape
            q, k, v = self.qkv(self.norm1(x)).reshape(rows, bins, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            seen = self.bias[:, lag].masked_fill(far, float("-inf"))
            found = scaled_dot_product_attention(q, k, v, attn_mask=seen[None])
            x = x + self.drop(self.out(found.transpose(1, 2).reshape(rows, bins, d)))
            return x + self.drop(self.down(self.drop(gelu(self.up(self.norm2(x))))))

    return Block


def build(width: int, outputs: int, config: Any) -> Any:
    """A module `u [rows, bins, width] -> mean, logvar [members, rows, bins, outputs]`, mean of other bins or None."""
    import torch
    from torch import nn

    d, reach, block_of = config.units, config.context, _block(config)

    class Member(nn.Module):
        """One network."""

        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(config.dropout)
            self.also = nn.Linear(d, outputs * len(config.also)) if config.also else None
            self.read = nn.Linear(width, d)
            self.block = nn.ModuleList(block_of() for _ in range(config.layers))
            self.norm = nn.LayerNorm(d)
            self.mean, self.logvar = nn.Linear(d, outputs), nn.Linear(d, outputs)

        def forward(self, u: Any) -> Any:
            """Mean, logarithm of the error variance, which teaches nothing below it, and the mean of the bins around."""
            bins = torch.arange(u.shape[1], device=u.device)
            lag = bins[:, None] - bins[None]
            far = (lag < 0) | (lag >= reach)
            x = self.read(u)
            for block in self.block:
                x = block(x, lag.clamp(0, reach - 1), far)
            x = self.norm(x)
            dropped = self.drop(x)
            return self.mean(dropped), self.logvar(x.detach()), None if self.also is None else self.also(dropped)

    return side_by_side(Member, config.members)
