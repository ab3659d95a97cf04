"""A batch run that is killed at one of its file operations: python cut_batch.py IN OUT LOG NUMBER. It logs what it has brought to the disk.

LOG takes a JSON line for each flushed file ("flushed", its inode, "size"), each flushed folder ("folder"), and each name given ("named",
"to"), the last before it is given. The process kills itself (SIGKILL) before operation NUMBER on a file under OUT; 0 lets it end.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipeline"))

from batch_steps import Inverse

from restore.pipeline.batch import BatchOptions, run


class Recorder:
    """Counts the file operations of this process and writes the log."""

    def __init__(self, out: str, log: Path, number: int) -> None:
        self.out, self.number, self.count = out, number, 0
        self.handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lock = threading.Lock()

    def install(self) -> None:
        """Stand between the run and `os`."""
        for name in ("mkdir", "unlink", "rmdir"):
            setattr(os, name, self._counted(getattr(os, name)))
        sys.addaudithook(self._opened)
        flush, rename = os.fsync, os.replace

        def fsync(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink())
            self._operation(path)
            flush(handle)
            status = os.fstat(handle)
            folder = stat.S_ISDIR(status.st_mode)
            self._write({"folder": path} if folder else {"flushed": status.st_ino, "size": status.st_size})

        def replace(source: Any, target: Any, **options: Any) -> None:
            self._operation(target)
            self._write({"named": Path(source).stat().st_ino, "to": str(target)})
            rename(source, target, **options)

        os.fsync, os.replace = fsync, replace

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(path: Any, *arguments: Any, **options: Any) -> Any:
            self._operation(path)
            return real(path, *arguments, **options)

        return counted

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            self._operation(arguments[0])

    def _operation(self, path: Any) -> None:
        if not isinstance(path, int) and os.fsdecode(path).startswith(self.out):
            with self.lock:
                self.count += 1
                if self.count == self.number:
                    os.kill(os.getpid(), signal.SIGKILL)

    def _write(self, entry: dict[str, Any]) -> None:
        os.write(self.handle, json.dumps(entry).encode() + b"\n")


def main() -> None:
    source, out, log = map(Path, sys.argv[1:4])
    recorder = Recorder(str(out), log, int(sys.argv[4]))
    recorder.install()
    report = run(Inverse(), [source], out, BatchOptions(workers=2))
    print(recorder.count, report.done, report.failed)


if __name__ == "__main__":
    main()
