"""The Ray executor against the threaded one: equal pictures, a node lost in the middle, and the overhead at equal cores.

    python benchmarks/cluster.py [--pictures 400] [--side 96] [--task simulate]

It starts a cluster of two nodes of one core each on this machine, restores the pictures by `restore denoise` in float32, and compares the
files. `--task simulate` does so without a network. The overhead is the time from the first tenth of the records to the last, for which both
have loaded their networks, in one run side by side.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

import restore
from restore.pipeline.batch import BatchOptions, Event, Report

OPTIONS: dict[str, dict[str, object]] = {"denoise": {}, "simulate": {"recipe": "xray-low-dose"}}


class Clock:
    """Notes when records come; calls `at_half` once, in the middle."""

    def __init__(self, at_half: Callable[[], object] = lambda: None) -> None:
        self.times: list[float] = []
        self.at_half = at_half

    def __call__(self, event: Event) -> None:
        if event.kind == "record":
            self.times.append(time.perf_counter())
            if event.index == event.total // 2:
                self.at_half()

    def rate(self, skipped: int) -> float:
        """Pictures a second, without the first ones."""
        return (len(self.times) - 1 - skipped) / (self.times[-1] - self.times[skipped])


def pictures(folder: Path, count: int, side: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        clean = np.linspace(40, 200, side)[:, None] + 20 * np.sin(np.linspace(0, index + 5, side))
        noisy = np.clip(clean + random.normal(0, 15, (side, side)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{index:04d}.png")
    return folder


def same(first: Path, second: Path) -> bool:
    names = sorted(path.name for path in first.glob("*.png"))
    drafts = [path for path in (second / ".restore").iterdir() if path.name != "done"]
    return not drafts and all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def restored(task: str, source: Path, out: Path, executor: str, clock: Clock) -> Report:
    batch = BatchOptions(executor=executor, workers=1)
    return restore.run(task, source, out, options=OPTIONS[task], device="cpu", precision="fp32", batch=batch, on_event=clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--task", choices=OPTIONS, default="denoise")
    arguments = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # both runs at one priority
    import ray
    from ray.cluster_utils import Cluster

    with TemporaryDirectory() as folder:
        root = Path(folder)
        source = pictures(root / "in", arguments.pictures, arguments.side)
        threads, on_ray, lost = Clock(), Clock(), Clock()
        restored(arguments.task, source, root / "threads", "threads", threads)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        report = restored(arguments.task, source, root / "ray", "ray", on_ray)
        equal = same(root / "threads", root / "ray")
        print(f"{torch.get_num_threads()} cores; {report.done} of {arguments.pictures} pictures, byte-identical: {equal}")
        skipped = arguments.pictures // 10
        rates = threads.rate(skipped), on_ray.rate(skipped)
        print(f"{rates[0]:.2f} pictures a second by threads, {rates[1]:.2f} by ray: overhead {rates[0] / rates[1] - 1:+.1%}", flush=True)
        lost.at_half = lambda: cluster.remove_node(nodes[1], allow_graceful=False)
        report = restored(arguments.task, source, root / "lost", "ray", lost)
        names = {record.name for record in report.records}
        print(
            f"a node lost at picture {arguments.pictures // 2}: {report.done} done, {report.skipped} found done, {report.failed} failed, "
            f"{len(names)} different of {len(report.records)} records, byte-identical: {same(root / 'threads', root / 'lost')}"
        )
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
