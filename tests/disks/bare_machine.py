"""The command line on a machine that has no entry for its user, no HOME and no shared memory: python bare_machine.py ARGUMENTS."""

from __future__ import annotations

import os
import sys
from typing import Any


def _no_entry(*_: Any) -> Any:
    raise KeyError("getpwuid(): uid not found")


def _no_shared_memory(*_: Any, **__: Any) -> Any:
    raise FileNotFoundError(2, "No such file or directory", "/dev/shm")


def main() -> None:
    import _posixshmem
    import pwd

    pwd.getpwuid = pwd.getpwnam = _no_entry
    _posixshmem.shm_open = _no_shared_memory
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR"):
        os.environ.pop(name, None)
    from restore_cli import main as restore

    restore(sys.argv[1:])


if __name__ == "__main__":
    main()
