"""Free memory of this process, limited by the system, by its address space limits and by its control groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows has no resource limits
    resource = None  # type: ignore[assignment]  # a module is replaced by None

_ROOT = Path("/")
_UNLIMITED = 1 << 60
"""Version 1 of control groups writes a number above this where there is no limit."""


def free_memory() -> int:
    """Bytes that this process may still allocate, at least 0: the minimum over all limits."""
    available: int = psutil.virtual_memory().available
    return max(0, min([available, *_addresses_left(), *control_groups_left()]))


_MESSAGES = (
    *("out of memory", "outofmemory", "can't allocate memory", "cannot allocate memory", "insufficient memory"),
    *("failed to allocate", "unable to allocate", "bad_alloc", "could not create a primitive", "can't start new thread"),
)
"""Out-of-memory messages of libraries that do not raise MemoryError: torch, oneDNN, OpenCV."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the machine or on a device."""
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in _MESSAGES)


def _addresses_left() -> Iterator[int]:
    """The bytes left under `ulimit -v` (RLIMIT_AS) and `ulimit -d` (RLIMIT_DATA)."""
    if resource is None:
        return
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    if limits != [resource.RLIM_INFINITY] * 2:
        used = psutil.Process().memory_info()
        for limit, taken in zip(limits, (used.vms, used._asdict().get("data", 0)), strict=True):
            if limit != resource.RLIM_INFINITY:
                yield limit - taken


def control_groups_left(root: Path = _ROOT) -> Iterator[int]:
    """The bytes left under the memory limits of this process's control group and of its parents, versions 1 and 2.

    Inactive file pages count as free, because the kernel drops them before it refuses memory. In a container the group's path may be that
    of the host; the mounted root is then the container's own group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            yield from _group_left(root / "sys/fs/cgroup", group, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _group_left(root / "sys/fs/cgroup/memory", group, names)


def _group_left(mount: Path, group: str, names: tuple[str, str, str]) -> Iterator[int]:
    """The bytes left in each group from `group` up to the mounted root."""
    folder = mount / group.strip("/")
    while True:
        with suppress(OSError, ValueError):  # no such file, or "max": no limit here
            limit, used = (int((folder / name).read_text()) for name in names[:2])
            if limit < _UNLIMITED:
                yield limit - used + _idle_pages(folder, names[2])
        if folder == mount or mount not in folder.parents:
            return
        folder = folder.parent


def _idle_pages(folder: Path, name: str) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
    return 0
