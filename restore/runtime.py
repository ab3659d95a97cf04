"""Device, precision, memory format and seed: the one place that asks what the machine can do."""

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

import numpy as np
import psutil
import torch

LARGEST_BLOCK_KEPT = 32 << 20
"""Bytes up to which glibc can be told to keep a freed block; see `keep_freed_memory`."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """Where and how a network runs.

    Attributes:
        device: the torch device.
        dtype: the type that the network's weights and activations take (float32, bfloat16 or float16).
        compile: whether networks that learn are compiled (torch.compile).
        replay: whether training steps are captured and replayed (CUDA graphs; see `restore.training.cuda_graph`).
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
        """channels-last, except for float32 on CPU, where the plain layout has the faster convolutions."""
        if self.device.type == "cpu" and self.dtype == torch.float32:
            return torch.contiguous_format
        return torch.channels_last

    def place(self, network: torch.nn.Module) -> torch.nn.Module:
        """Move `network` here, in this precision and memory format."""
        return network.to(self.device, self.dtype).to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def autocast(self) -> torch.autocast:
        """The context in which a float32 network computes in this precision."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def in_precision(self, precision: str) -> Runtime:
        """The same device in another precision."""
        return replace(self, dtype=PRECISIONS[precision])


def choose(device: str = "auto", precision: str = "auto", *, compiled: bool = False, replayed: bool = False) -> Runtime:
    """Turn what the user asked for into what this machine will do.

    Args:
        device: auto, cpu, cuda, cuda:N or mps. auto prefers cuda, then mps, then cpu.
        precision: auto, fp32, bf16 or fp16. auto is bf16 where the hardware computes in it, else fp32.
        compiled: whether networks that learn are compiled.
        replayed: whether rounds of training are recorded and replayed where that can be: on NVIDIA's GPUs, and not in fp16, whose scaled
            gradients are looked at by the CPU.

    Raises:
        ValueError: the device is not here or the precision is unknown; the text says what is.
    """
    where = _device(device)
    if where.type == "cpu":
        keep_freed_memory()
    if precision == "auto":
        precision = "bf16" if fast_bf16(where) else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: use auto, {', '.join(PRECISIONS)}")
    return Runtime(where, PRECISIONS[precision], compiled, replayed and where.type == "cuda" and precision != "fp16")


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep freed feature maps of up to 32 MB for the next ones, instead of returning every one to the system.

    glibc maps large blocks afresh and gives them back at once; the page faults of that cost a CPU network a quarter of its time.
    Whole pictures are larger than 32 MB where it matters, and still go back when freed.

    Returns:
        Whether there was a glibc to tell.
    """
    settings = ((_MMAP_THRESHOLD, LARGEST_BLOCK_KEPT), (_TRIM_THRESHOLD, 512 << 20), (_TOP_PAD, 16 << 20))
    return [_told(name, value) for name, value in settings] == [True] * len(settings)


@contextmanager
def memory_reused(device: torch.device) -> Iterator[None]:
    """While a network runs on a CPU, keep freed blocks of any size, which `keep_freed_memory` cannot: glibc's limit is 32 MB.

    A tile's feature map at the full resolution is larger. What is taken for other ends meanwhile is kept in the same way, so this is
    for the network alone; whole pictures go back when freed. On other devices, or without glibc, nothing happens.
    """
    if device.type != "cpu":
        yield
        return
    with _reusing.lock:
        _reusing.count += 1
        _told(_MMAP_MAX, 0)
    try:
        yield
    finally:
        with _reusing.lock:
            _reusing.count -= 1
            if not _reusing.count:
                _told(_MMAP_MAX, _MAPPED_BLOCKS)


def give_memory_back(device: torch.device) -> None:
    """Return to the system what a CPU's networks left: before a large picture, whose own memory is what counts."""
    library = _glibc()
    if library is not None and device.type == "cpu":
        library.malloc_trim(0)


class _Reusing:
    """How many networks run now."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0


_reusing = _Reusing()
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


def _told(name: int, value: int) -> bool:
    """Set one of the allocator's parameters; whether it was taken."""
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
    if name == "auto":
        name = available[0].split(":")[0]
    if name == "cuda":
        # a launcher starts one process for each of the machine's devices
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}: this machine has {', '.join(available)}") from None
    if not any(
        entry.split(":")[0] == wanted.type and (wanted.index is None or entry == str(wanted) or entry == name)
        for entry in available
    ):
        raise ValueError(f"device {name!r} is not available: this machine has {', '.join(available)}")
    return wanted


def fast_bf16(device: torch.device) -> bool:
    """Whether `device` computes bfloat16 in hardware (Ampere GPUs and later, CPUs with AMX or AVX512-BF16)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(cpu_features() & {"amx_bf16", "avx512_bf16"})
    return False


@cache
def cpu_features() -> frozenset[str]:
    """The CPU's instruction-set flags that matter to us, as Linux names them; empty where the system tells none."""
    wanted = {"amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2", "bf16", "asimd"}
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.lower().startswith(("flags", "features")):
            return frozenset(line.split(":", 1)[1].split()) & wanted
    return frozenset()


def peak_memory() -> int:
    """The most memory, in bytes, that this process has taken so far: of the GPU where it uses one, else of the machine."""
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
