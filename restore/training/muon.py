"""Muon: momentum whose update is orthogonalised, for the weights of convolutions and matrices.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": the momentum buffer, with Nesterov's look-ahead,
is replaced by the nearest semi-orthogonal matrix, found by five Newton-Schulz steps of the quintic (3.4445, -4.7750, 2.0315).
torch.optim.Muon takes only two-dimensional parameters; a convolution (O, I, k, k) is here the matrix (O, I k k), and matrices
of one shape are orthogonalised together, which is several times faster for a deep network of equal layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Muon over parameters of two or more dimensions.

    Args:
        parameters: weights with at least two dimensions.
        lr: the update's spectral norm is lr sqrt(max(1, rows / columns)).
        momentum: of the gradient's running mean, 0..1.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update; `closure`, if given, recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._momentum(parameter, group["momentum"])
                    shapes.setdefault((update.shape[0], update.shape[1]), []).append((parameter, update))
            for (rows, columns), members in shapes.items():
                directions = orthogonalise(torch.stack([update for _, update in members]))
                directions *= group["lr"] * max(1.0, rows / columns) ** 0.5  # the rate may be a tensor
                for (parameter, _), direction in zip(members, directions, strict=True):
                    parameter.sub_(direction.reshape(parameter.shape).to(parameter.dtype))
        return loss

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """Update the running mean of the gradient; return the look-ahead as a matrix (rows, columns)."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if "mean" not in state:
            state["mean"] = torch.zeros_like(parameter.grad)
        state["mean"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["mean"], momentum).reshape(parameter.shape[0], -1)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """The approximately nearest semi-orthogonal matrices to (N, R, C); singular values land in about 0.7..1.2."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, polynomial, x, beta=3.4445)
    return (x.mT if tall else x).float()
