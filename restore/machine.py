"""What this process may still take of the machine's memory: by the system, by a limit on its addresses, and by its control group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_ROOT = Path("/")
_UNLIMITED = 1 << 60
"""What version 1 of control groups writes where there is no limit is a number above this."""


def free_memory() -> int:
    """Bytes that this process may still take, never negative: the least of what each of the limits leaves."""
    return max(0, min([psutil.virtual_memory().available, *_addresses_left(), *control_groups_left()]))


_MESSAGES = (
    *("out of memory", "outofmemory", "can't allocate memory", "cannot allocate memory", "insufficient memory"),
    *("failed to allocate", "unable to allocate", "bad_alloc", "could not create a primitive", "can't start new thread"),
)
"""What libraries say that know no MemoryError: torch, oneDNN, OpenCV."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the machine or on a device."""
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in _MESSAGES)


def _addresses_left() -> Iterator[int]:
    """What `ulimit -v` (RLIMIT_AS) and `ulimit -d` (RLIMIT_DATA) leave."""
    if resource is None:
        return
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    if limits != [resource.RLIM_INFINITY] * 2:
        used = psutil.Process().memory_info()
        for limit, taken in zip(limits, (used.vms, getattr(used, "data", 0)), strict=True):
            if limit != resource.RLIM_INFINITY:
                yield limit - taken


def control_groups_left(root: Path = _ROOT) -> Iterator[int]:
    """What the memory limits of this process's control group and of those above it leave, versions 1 and 2.

    Pages of files that nobody has used for a while count as free: the kernel drops them before it refuses memory.
    In a container the group's path may be that of the host: then the mounted root is the container's own group.
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
    """What each group from `group` up to the mounted root leaves."""
    folder = mount / group.strip("/")
    while True:
        with suppress(OSError, ValueError):  # no such file: no limit here; "max": none either
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
