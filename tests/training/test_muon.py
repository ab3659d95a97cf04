"""Muon."""

from __future__ import annotations

import pytest
import torch

from restore.training.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 72), (2, 96, 24), (1, 1, 9)])
def test_orthogonalised_singular_values_are_near_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_orthogonalising_keeps_the_singular_vectors() -> None:
    matrix = torch.randn(1, 12, 20, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix[0], full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonalise(matrix).flatten(), (u @ v).flatten(), 0) > 0.95


def test_a_zero_gradient_moves_nothing() -> None:
    assert not orthogonalise(torch.zeros(1, 4, 6)).any()


def test_equal_parameters_move_alike_whatever_stands_next_to_them() -> None:
    generator = torch.Generator().manual_seed(2)
    gradients = [torch.randn(8, 4, 3, 3, generator=generator), torch.randn(8, 4, 3, 3, generator=generator)]
    together = [torch.nn.Parameter(torch.zeros(8, 4, 3, 3)) for _ in gradients]
    alone = [torch.nn.Parameter(torch.zeros(8, 4, 3, 3)) for _ in gradients]
    optimizers = [Muon(together), *(Muon([parameter]) for parameter in alone)]
    for _ in range(2):
        for parameter, gradient in zip(together + alone, gradients * 2, strict=True):
            parameter.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    for first, second in zip(together, alone, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-2, atol=1e-4)
        assert first.abs().max() > 0


def test_a_step_goes_downhill_with_a_norm_of_the_rate() -> None:
    parameter = torch.nn.Parameter(torch.randn(6, 10, generator=torch.Generator().manual_seed(3)))
    before = parameter.detach().clone()
    optimizer = Muon([parameter], lr=0.1)
    loss = optimizer.step(lambda: (parameter.square().sum().backward(), 1.5)[1])
    assert loss == 1.5
    moved = parameter.detach() - before
    assert (moved * before).sum() < 0
    assert 0.05 < torch.linalg.matrix_norm(moved, 2) < 0.14
