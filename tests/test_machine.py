"""What limits on memory leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from restore import available_memory


def _written(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


def test_version_2_and_the_groups_above(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user.slice/job"
    root = _written(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/job",
            f"{group}/memory.max": "max",
            f"{group}/memory.current": 100,
            "sys/fs/cgroup/user.slice/memory.max": 5000,
            "sys/fs/cgroup/user.slice/memory.current": 3000,
            "sys/fs/cgroup/user.slice/memory.stat": "anon 1\ninactive_file 700",
        },
    )
    assert list(available_memory.control_groups_left(root)) == [2700]


def test_version_1_and_a_container_whose_group_is_named_as_on_the_host(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/memory"
    root = _written(
        tmp_path,
        {
            "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/abc\n",
            f"{folder}/memory.limit_in_bytes": 9000,
            f"{folder}/memory.usage_in_bytes": 1000,
            f"{folder}/memory.stat": "total_inactive_file 50",
        },
    )
    assert list(available_memory.control_groups_left(root)) == [8050]


def test_no_limit_and_no_groups(tmp_path: Path) -> None:
    assert list(available_memory.control_groups_left(tmp_path)) == []
    root = _written(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": 1,
        },
    )
    assert list(available_memory.control_groups_left(root)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of addresses are Linux's")
def test_a_limit_of_addresses() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "from restore.available_memory import free_memory; print(free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 1 << 30


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (ValueError("the picture is damaged"), False),
    ],
)
def test_what_says_that_memory_ran_out(error: Exception, said: bool) -> None:
    assert available_memory.out_of_memory(error) is said
