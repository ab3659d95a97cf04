"""Device and precision: what is asked for becomes what will be done, or an answer that helps."""

from __future__ import annotations

import random
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import torch

from restore import runtime
from restore.runtime import Runtime


def test_the_cpu_is_always_there() -> None:
    place = runtime.choose("cpu", "fp32")
    assert (place.device.type, place.precision, place.memory_format) == ("cpu", "fp32", torch.channels_last)
    assert place.training_format == torch.contiguous_format
    assert runtime.available_devices()[-1] == "cpu"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_network_is_placed(precision: str) -> None:
    place = Runtime(torch.device("cpu"), torch.float32).in_precision(precision)
    network = place.prepare(torch.nn.Conv2d(4, 4, 3))
    assert network.weight.dtype == runtime.PRECISIONS[precision]
    assert network.weight.is_contiguous(memory_format=place.memory_format)
    assert place.precision == precision


def test_auto_is_bf16_only_where_the_hardware_has_it() -> None:
    place = runtime.choose("cpu")
    assert place.precision == ("bf16" if runtime.fast_bf16(place.device) else "fp32")


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_tile amx_bf16", True),
        ("GenuineIntel", "avx512f avx512_bf16", False),
        ("AuthenticAMD", "avx512f avx512_bf16", True),
        ("AuthenticAMD", "avx2", False),
    ],
)
def test_bf16_is_chosen_where_it_is_faster(monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str, fast: bool) -> None:
    monkeypatch.setattr(runtime, "_cpu_line", lambda name: {"vendor_id": vendor, "flags": flags}.get(name, ""))
    runtime.cpu_features.cache_clear()
    try:
        assert runtime.choose("cpu").precision == ("bf16" if fast else "fp32")
    finally:
        runtime.cpu_features.cache_clear()


@pytest.mark.parametrize(
    ("device", "precision", "word"),
    [("abacus", "auto", "cpu"), ("cpu", "fp8", "bf16"), ("cuda:99", "auto", "not available")],
)
def test_what_is_not_here_is_named(device: str, precision: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        runtime.choose(device, precision)


def test_one_seed_for_all() -> None:
    def draw() -> tuple[float, float, float]:
        runtime.seed_everything(5)
        return random.random(), float(np.random.random()), float(torch.rand(1))

    assert draw() == draw()


@pytest.mark.skipif(not runtime.keep_freed_memory(), reason="there is no glibc here")
def test_large_blocks_are_reused_while_a_network_runs_and_given_back_when_told() -> None:
    def faults(times: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(times):
            torch.ones(16_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    cpu = torch.device("cpu")
    runtime.give_memory_back(cpu)
    afresh = faults(10)
    with runtime.memory_reused(cpu), runtime.memory_reused(cpu):
        faults(20)
        assert faults(10) < afresh / 10
    before = psutil.Process().memory_info().rss
    runtime.give_memory_back(cpu)
    assert psutil.Process().memory_info().rss < before - 32e6


def test_reproducible_gradients_do_not_depend_on_the_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    layer, inputs = torch.nn.Conv2d(16, 16, 3, padding=1), torch.randn(1, 16, 64, 64, generator=generator)

    def gradient(_: int) -> torch.Tensor:
        return torch.autograd.grad(layer(inputs).relu().square().mean(), [layer.weight])[0]

    def gradients(threads: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        with runtime.reproducible(), ThreadPoolExecutor(1) as pool:
            result = [gradient(0), *pool.map(gradient, [0])]
        assert torch.get_num_threads() == threads
        return result

    before = torch.get_num_threads()
    try:
        first, *others = [one for threads in (1, 2, 3) for one in gradients(threads)]
        torch.set_num_threads(3)
        with pytest.raises(KeyError), runtime.reproducible():
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(first, other) for other in others)
