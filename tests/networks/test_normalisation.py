"""Our layers that normalise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from restore.networks.normalisation import MOST_SEPARATE, InstanceNorm, PixelNorm


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("batch", [1, 3, 20])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_our_instance_normalisation_is_pytorchs_and_keeps_the_layout(
    device: str, dtype: torch.dtype, batch: int, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    given = (3 * torch.randn(batch, 4, 9, 7) + 2).to(device, dtype).contiguous(memory_format=memory_format)
    results = []
    for layer in (InstanceNorm(4), nn.InstanceNorm2d(4)):
        x = given.clone(memory_format=torch.preserve_format).requires_grad_()
        made = layer(x)
        made.square().mul(torch.arange(7, dtype=dtype, device=device)).sum().backward()
        results.append((made, x.grad))
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * 10)
    assert results[0][0].is_contiguous(memory_format=memory_format) or batch > MOST_SEPARATE[device]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pixel_is_normalised_over_its_channels_and_by_itself(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = (3 * torch.randn(2, 16, 6, 7) + 2).to(dtype).contiguous(memory_format=torch.channels_last)
    made = PixelNorm(16)(x)
    assert made.dtype == dtype and made.is_contiguous(memory_format=torch.channels_last)
    wide = made.float()
    torch.testing.assert_close(wide.mean(1), torch.zeros(2, 6, 7), atol=0.02, rtol=0)
    torch.testing.assert_close(wide.var(1, correction=0), torch.ones(2, 6, 7), atol=0.03, rtol=0)
    torch.testing.assert_close(PixelNorm(16)(x[:, :, 2:3, 3:4]), made[:, :, 2:3, 3:4])
