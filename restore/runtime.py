"""Device, precision, memory format and seed: the one place that asks for the machine's abilities."""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import torch

Network = TypeVar("Network", bound=torch.nn.Module)
LARGEST_BLOCK_KEPT = 32 << 20
"""Bytes of the largest freed block that glibc can keep; see `keep_freed_memory`."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """Where and how a network runs.

    Attributes:
        device: the torch device.
        dtype: of the network's weights and activations (float32, bfloat16 or float16).
        compile: whether networks in training are compiled (torch.compile).
        replay: whether training steps are captured as CUDA graphs and replayed.
    """

    device: torch.device
    dtype: torch.dtype
    compile: bool = False
    replay: bool = False

    @property
    def precision(self) -> str:
        """The name of `dtype` as users type it: fp32, bf16 or fp16."""
        return next(name for name, dtype in PRECISIONS.items() if dtype == self.dtype)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout in which a network runs: channels-last."""
        return torch.channels_last

    @property
    def training_format(self) -> torch.memory_format:
        """The layout in which a network is trained: channels-last; for float32 on CPU the plain one, whose gradients are faster."""
        if self.device.type == "cpu" and self.dtype == torch.float32:
            return torch.contiguous_format
        return torch.channels_last

    def prepare(self, network: Network) -> Network:
        """Move `network` to this device, precision and memory format."""
        moved = network.to(self.device, self.dtype)
        return moved.to(memory_format=self.memory_format)

    def autocast(self) -> torch.autocast:
        """The context in which a float32 network computes in this precision."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def in_precision(self, precision: str) -> Runtime:
        """The same device in another precision."""
        return replace(self, dtype=PRECISIONS[precision])


def choose(device: str = "auto", precision: str = "auto", *, compiled: bool = False, replayed: bool = False) -> Runtime:
    """Choose the device and the precision of this machine.

    Args:
        device: auto, cpu, cuda, cuda:N or mps. auto prefers cuda, then mps, then cpu.
        precision: auto, fp32, bf16 or fp16. auto is bf16 where the hardware computes in it, else fp32.
        compiled: whether networks in training are compiled.
        replayed: whether training steps are replayed as CUDA graphs where that is possible: on NVIDIA's GPUs, and not in fp16, where the
            CPU checks the scaled gradients.

    Raises:
        ValueError: the device is not available or the precision is unknown; the text names the available ones.
    """
    chosen = _device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    if precision == "auto":
        precision = "bf16" if fast_bf16(chosen) else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: use auto, {', '.join(PRECISIONS)}")
    return Runtime(chosen, PRECISIONS[precision], compiled, replayed and chosen.type == "cuda" and precision != "fp16")


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep freed feature maps of up to 32 MB for the next ones, instead of returning each to the system.

    glibc maps every large block anew and unmaps it when freed. The page faults cost a CPU network a quarter of its time. Large pictures
    exceed 32 MB and are still returned.

    Returns:
        Whether the C library is glibc.
    """
    settings = ((_MMAP_THRESHOLD, LARGEST_BLOCK_KEPT), (_TRIM_THRESHOLD, 512 << 20), (_TOP_PAD, 16 << 20))
    return [_set_option(name, value) for name, value in settings] == [True] * len(settings)


@contextmanager
def memory_reused(device: torch.device) -> Iterator[None]:
    """Keep freed blocks of any size while a network runs on a CPU; `keep_freed_memory` is limited to 32 MB.

    A tile's feature map at the full resolution is larger than that. All other memory is kept in the same way meanwhile, so this is for
    the network alone. On other devices, or without glibc, nothing happens.
    """
    if device.type != "cpu":
        yield
        return
    with _reusing.lock:
        _reusing.count += 1
        _set_option(_MMAP_MAX, 0)
    try:
        yield
    finally:
        with _reusing.lock:
            _reusing.count -= 1
            if not _reusing.count:
                _set_option(_MMAP_MAX, _MAPPED_BLOCKS)


@contextmanager
def reproducible() -> Iterator[None]:
    """Compute gradients that are the same to the bit however many threads torch may use, on a CPU and on a GPU.

    A convolution's gradients are sums over threads, so this thread and those that start in it have one each. One such context is open at a
    time; another thread waits.
    """
    with _one_at_a_time:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                yield
        finally:
            torch.set_num_threads(threads)


def give_memory_back(device: torch.device) -> None:
    """Return to the system the memory that networks on a CPU kept: before a large picture, which needs it."""
    library = _glibc()
    if library is not None and device.type == "cpu":
        library.malloc_trim(0)


class _Reusing:
    """The number of networks that run now."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0


_reusing = _Reusing()
_one_at_a_time = threading.Lock()
# M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_MAX of malloc.h, and the last one's default
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _MAPPED_BLOCKS = -3, -1, -2, -4, 65536


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018 - musl has neither
    except (OSError, AttributeError):
        return None
    return library


def _set_option(name: int, value: int) -> bool:
    """Set one of the allocator's parameters; return whether it was accepted."""
    library = _glibc()
    return library is not None and library.mallopt(name, value) == 1


def available_devices() -> list[str]:
    """The devices of this machine that torch can use, best first."""
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def _device(name: str) -> torch.device:
    available = available_devices()
    if not isinstance(name, str):
        raise ValueError(f"the device must be a text, not {name!r}: this machine has {', '.join(available)}")
    if name == "auto":
        name = available[0].split(":")[0]
    if name == "cuda":
        # torchrun starts one process for each device
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}: this machine has {', '.join(available)}") from None
    if not any(
        entry.split(":")[0] == device.type and (device.index is None or entry == str(device) or entry == name) for entry in available
    ):
        raise ValueError(f"device {name!r} is not available: this machine has {', '.join(available)}")
    return device


def fast_bf16(device: torch.device) -> bool:
    """Whether `device` runs a network faster in bfloat16 than in float32: Ampere GPUs and later, CPUs with AMX, AMD's with AVX512-BF16.

    Intel's AVX512-BF16 does as many operations a cycle as its float32 instructions, and bf16 has to be packed and unpacked;
    AMD's does twice as many (`docs/decisions/cpu-speed.md`).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        features = cpu_features()
        return "amx_bf16" in features or ("avx512_bf16" in features and _cpu_line("vendor_id") == "AuthenticAMD")
    return False


@cache
def cpu_features() -> frozenset[str]:
    """The CPU's instruction-set flags that matter here, as Linux names them; empty on other systems."""
    relevant = {"amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2", "bf16", "asimd"}
    return frozenset((_cpu_line("flags") or _cpu_line("Features")).split()) & relevant


@cache
def _cpu_line(name: str) -> str:
    """What Linux says about the first CPU under `name`; empty where it says nothing, and on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    fields = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in fields if key.strip() == name), "")


def peak_memory() -> int:
    """The peak memory of this process so far, in bytes: of the GPU if it uses one, else of the machine."""
    if torch.cuda.is_available() and torch.cuda.max_memory_reserved():
        return torch.cuda.max_memory_reserved()
    info = psutil.Process().memory_info()
    if sys.platform == "win32":
        return int(info.peak_wset)
    import resource

    # kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
