"""The residual block in fewer passes is the residual block."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restore.networks import fused_residual


def _block(bias: bool) -> tuple[nn.Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 3, padding=1, bias=bias), nn.Conv2d(8, 8, 3, padding=1, bias=bias)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_it_equals_the_layers_one_after_the_other(bias: bool, dtype: torch.dtype, layout: torch.memory_format) -> None:
    first, second = (layer.to(dtype).to(memory_format=layout) for layer in _block(bias))
    x = torch.randn(2, 8, 13, 17).to(dtype).contiguous(memory_format=layout)
    kept = x.clone()
    with torch.inference_mode():
        made, expected = fused_residual.residual(x, first, second), x + second(F.relu(first(x)))
    torch.testing.assert_close(made, expected, atol=0.03 if dtype == torch.bfloat16 else 1e-5, rtol=0.01)
    other = torch.randn(2, 8, 13, 17).to(dtype).contiguous(memory_format=layout)
    with torch.inference_mode():
        more, sum_ = fused_residual.conv_add(x, first, other), first(x) + other
    torch.testing.assert_close(more, sum_, atol=0.03 if dtype == torch.bfloat16 else 1e-5, rtol=0.01)
    assert torch.equal(x, kept)
    assert made.is_contiguous(memory_format=layout)
    with torch.inference_mode():
        over, added = (
            fused_residual.residual(x.clone(), first, second, inplace=True),
            fused_residual.conv_add(x, first, other.clone(), inplace=True),
        )
        alias = fused_residual.conv_add(x, first, x, inplace=True), first(kept) + kept
    torch.testing.assert_close((over, added), (made, more), atol=0.03, rtol=0.01)
    torch.testing.assert_close(*alias, atol=0.03, rtol=0.01)
    assert torch.equal(x, kept)


class _Block(fused_residual.Residual):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _block(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stack_leaves_its_input_alone_unless_that_is_spent(dtype: torch.dtype) -> None:
    stack = fused_residual.ResidualStack(_Block(), _Block(), _Block()).to(dtype).to(memory_format=torch.channels_last)
    x = torch.randn(1, 8, 9, 11).to(dtype).contiguous(memory_format=torch.channels_last)
    kept = x.clone()
    with torch.inference_mode():
        made = stack(x)
        assert torch.equal(x, kept)
        expected = x
        for block in stack:
            expected = expected + block.second(F.relu(block.first(expected)))
        torch.testing.assert_close(made, expected, atol=0.1, rtol=0.02)
        over = stack(x, True)
    torch.testing.assert_close(over, expected, atol=0.1, rtol=0.02)
    assert (over.data_ptr() == x.data_ptr()) == fused_residual._operators_work(dtype)


def test_gradients_take_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_residual, "_fused", None)
    first, second = (layer.bfloat16() for layer in _block(True))
    x = torch.randn(1, 8, 9, 9).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    fused_residual.residual(x, first, second).sum().backward()
    assert x.grad is not None and first.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_the_operators_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    def absent(*_: object) -> None:
        raise AttributeError("no such operator")

    monkeypatch.setattr(fused_residual, "_fused", absent)
    fused_residual._operators_work.cache_clear()
    try:
        first, second = (layer.to(dtype, memory_format=torch.channels_last) for layer in _block(False))
        x = torch.randn(1, 8, 9, 9).to(dtype).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            torch.testing.assert_close(fused_residual.residual(x, first, second), x + second(F.relu(first(x))))
        assert not fused_residual._operators_work(dtype)
    finally:
        fused_residual._operators_work.cache_clear()
