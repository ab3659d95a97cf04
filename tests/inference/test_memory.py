"""Tile sizes and the reuse of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from restore import runtime
from restore.inference import memory
from restore.inference.memory import FAR, LARGE
from restore.runtime import Runtime


@pytest.mark.parametrize(("free", "expected"), [(0, 64), (2 * 100 * 64**2, 64), (2 * 100 * 300**2, 256), (10**12, 1024)])
def test_the_largest_tile_fits_half_the_memory(free: int, expected: int) -> None:
    assert memory.largest(free, 100, most=1024) == expected


@pytest.mark.parametrize(
    ("requested", "overlap", "expected"),
    [(64, 64, 64), (0, 64, 5000), (64, 160, 640), (1500, 160, 1500), (64, 384, FAR), (64, 768, 1536)],
)
def test_tiles_are_at_least_as_large_as_a_large_receptive_field(fp32: Runtime, requested: int, overlap: int, expected: int) -> None:
    assert memory.tile_side(requested, (3000, 5000, 3), 45_000_000, torch.nn.Conv2d(3, 3, 3), fp32, overlap=overlap) == expected


@pytest.mark.parametrize(
    ("values", "precision", "width", "expected"),
    [
        (LARGE, "bf16", 64, 1024),
        (LARGE, "fp32", 64, 768),
        (LARGE + 1, "fp32", 32, 480),
        (LARGE + 1, "bf16", 64, 480),
        (LARGE + 1, "bf16", 8, 768),
    ],
)
def test_tile_size_follows_memory_reuse(fp32: Runtime, values: int, precision: str, width: int, expected: int) -> None:
    network, place = torch.nn.Conv2d(3, width, 3), fp32.in_precision(precision)
    assert memory.tile_side(None, (3000, 3000, 1), values, network, place, overlap=64) == expected
    if values > LARGE and expected < 768:
        assert expected**2 * width * place.dtype.itemsize < runtime.LARGEST_BLOCK_KEPT


@pytest.mark.parametrize(("values", "side", "kept"), [(LARGE, FAR, True), (LARGE + 1, FAR, False), (LARGE, FAR + 1, False)])
def test_memory_is_reused_except_for_large_pictures(
    fp32: Runtime, monkeypatch: pytest.MonkeyPatch, values: int, side: int, kept: bool
) -> None:
    calls = []

    @contextmanager
    def reused(device: torch.device) -> Iterator[None]:
        calls.append("reused")
        yield

    monkeypatch.setattr(runtime, "memory_reused", reused)
    monkeypatch.setattr(runtime, "give_memory_back", lambda device: calls.append("given back"))
    with memory.reuse(values, side, fp32.device):
        calls.append("work")
    assert calls == (["reused", "work"] if kept else ["given back", "work", "given back"])
