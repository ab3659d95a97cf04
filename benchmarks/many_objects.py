"""Cost of a shard over a store with many objects: listing, sharding, and the manifest. python benchmarks/many_objects.py [COUNT...]

The store is simulated: an fsspec file system that makes up folders of 1,000 pictures each, so that nothing but this suite takes time and
memory. The number of shards grows with the number of objects, so that a shard holds some 5,000 of them. Each count runs in a process of its
own. Printed are the time for each object and the peak memory above that of the process before.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

from restore.pipeline.discovery import plan_sources
from restore.pipeline.manifest_records import digest_file
from restore.pipeline.remote import RemoteFolder
from restore.pipeline.remote_manifest import RemoteManifest
from restore.pipeline.remote_source import RemoteSource
from restore.pipeline.result_store import Seen
from restore.pipeline.sharding import Shard

FOLDER, PART = 1000, 5000


class ManyObjects(AbstractFileSystem):
    """Folders 00000000, 00000001, ... of 1,000 pictures each below many://COUNT."""

    protocol = "many"

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        root, _slash, folder = self._strip_protocol(path).partition("/")
        if not folder:
            count = -(-int(root) // FOLDER)
            return [{"name": f"{root}/{index:08d}", "size": 0, "type": "directory"} for index in range(count)]
        first = int(folder) * FOLDER
        numbers = range(first, min(first + FOLDER, int(root)))
        return [{"name": f"{root}/{folder}/scan {n}.dcm", "size": 9_000_000, "type": "file", "ETag": f'"{n:032x}"'} for n in numbers]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": self._strip_protocol(path), "size": 0, "type": "directory"}


def measure(count: int) -> None:
    """Plan one shard of `count` objects, commit all its results, and look them up as a rerun does."""
    fsspec.register_implementation("many", ManyObjects, clobber=True)
    shard = Shard(1, max(1, count // PART))
    with TemporaryDirectory() as folder:
        stage = Path(folder)
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        planned = plan_sources([RemoteSource(RemoteFolder.at(f"many://{count}"), stage)], stage / "out", shard=shard)
        listed = time.perf_counter() - start
        results = RemoteManifest(RemoteFolder.at("memory://out"), stage / "out", stage / "drafts", {"task": "none"})
        start = time.perf_counter()
        with results:
            for job in planned.jobs:
                draft = results.temporary(job.target)
                draft.write_bytes(b"result")
                assert job.origin is not None
                results.commit(draft, job.target, digest_file(draft), Seen(job.origin.version, "content"))
            done = sum(bool(job.origin and results.known_content(job.target, job.origin)) for job in planned.jobs)
        kept = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    part = len(planned.jobs)
    assert done == part
    print(
        f"{count:>10,} objects, {shard.count:>5,} shards: {part:,} in this one; listing and sharding {listed:.1f} s, "
        f"{1e6 * listed / count:.1f} us an object; manifest {1e6 * kept / part:.0f} us a result; {peak / 1024:.0f} MB more memory",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--here", action="store_true", help="measure in this process")
    arguments = parser.parse_args()
    for count in arguments.counts:
        if arguments.here:
            measure(count)
        else:
            subprocess.run([sys.executable, __file__, str(count), "--here"], check=True)


if __name__ == "__main__":
    main()
