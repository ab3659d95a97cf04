"""The Ray executor against the threaded one: equal pictures, a node lost in the middle, and the overhead at equal cores.

    python benchmarks/cluster.py [--pictures 400] [--side 96] [--task simulate] [--rounds 4]

For the overhead both executors restore the same pictures in turns, in float32, with one thread and on the same single core: on it also run
Ray's worker, the driver and the cluster's own processes. Each has a session of its own, to which Linux gives an equal share where other
programs run. A turn counts from its second tenth on, when the network is loaded. The processor time of all processes of a session, divided
by the pictures, says the same whatever else the machine does.

Then a cluster of two nodes of one core each restores the pictures twice, the second time with a node lost. `--task simulate` does all
without a network.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

import restore
from restore.pipeline.batch import BatchOptions, Event, Report

OPTIONS: dict[str, dict[str, object]] = {"denoise": {}, "simulate": {"recipe": "xray-low-dose"}}


BURST = 0.002
"""Seconds between records that came with one chunk."""


class Clock:
    """Notes when records come; calls `at` once, at the record of the number `when`."""

    def __init__(self, when: int = 0, at: Callable[[], object] = lambda: None) -> None:
        self.times: list[float] = []
        self.when, self.at = when, at

    def __call__(self, event: Event) -> None:
        if event.kind == "record":
            if event.index == self.when:
                self.at()
            self.times.append(time.perf_counter())


@dataclass(frozen=True)
class Turn:
    """One turn: when its records came, and the processor seconds that its session had taken at some times."""

    times: list[float]
    samples: list[tuple[float, float]]

    def rates(self) -> tuple[float, float]:
        """Pictures a second, and processor seconds a picture.

        The time begins and ends with the last record of a chunk, so that no picture counts whose time does not.
        """
        gaps = np.diff([*self.times, np.inf])
        ends = [index for index, gap in enumerate(gaps) if gap > BURST and index >= len(self.times) // 5]
        count, first, last = ends[-1] - ends[0], self.times[ends[0]], self.times[ends[-1]]
        taken = np.interp([first, last], *zip(*self.samples, strict=True))
        return count / (last - first), float(taken[1] - taken[0]) / count


def session_seconds() -> float:
    """Processor seconds of the processes of this session that live."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended
            fields = entry.read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) * (int(fields[3]) == os.getsid(0))
    return total / os.sysconf("SC_CLK_TCK")


def settle() -> None:
    """Wait until the processes of this session have started up: they take a tenth of a core at most, or a minute is over."""
    deadline, before = time.perf_counter() + 60, -np.inf
    while (now := session_seconds()) - before > 0.2 and time.perf_counter() < deadline:
        before = now
        time.sleep(2)


def sample(samples: list[tuple[float, float]]) -> None:
    """Note the session's processor seconds once a second, for ever."""
    while True:
        samples.append((time.perf_counter(), session_seconds()))
        time.sleep(1)


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


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A cluster of a head without cores, and nodes of one core. Yields it and its nodes; the driver is connected."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    added = [made.add_node(num_cpus=1) for _ in range(nodes)]
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made, added
    ray.shutdown()
    made.shutdown()


def serve(executor: str, core: int, task: str, source: Path, turns: Connection) -> None:
    """Restore the pictures by one executor whenever a folder is received, until None is. Sends a `Turn` each time."""
    os.sched_setaffinity(0, {core})
    os.setsid()
    samples: list[tuple[float, float]] = []
    threading.Thread(target=sample, args=(samples,), daemon=True).start()
    with cluster(1) if executor == "ray" else nullcontext():
        settle()
        count = len([*source.iterdir()])
        turns.send(None)
        for out in iter(turns.recv, None):
            samples.clear()
            clock = Clock(count, lambda: samples.append((time.perf_counter(), session_seconds())))
            restored(task, source, out, executor, clock)
            # what comes after the last record lacks the time of Ray's worker, which is gone
            turns.send(Turn(clock.times, [one for one in sorted(samples) if one[0] <= clock.times[-1] + BURST]))


def overhead(task: str, source: Path, folder: Path, rounds: int) -> None:
    """Print Ray's time and processor time for a picture over those of the threads."""
    context = multiprocessing.get_context("spawn")
    core, ends = min(os.sched_getaffinity(0)), {}
    for executor in ("threads", "ray"):
        ends[executor], other = context.Pipe()
        context.Process(target=serve, args=(executor, core, task, source, other)).start()
        ends[executor].recv()
    found = []
    for number in range(rounds):
        rates: dict[str, tuple[float, float]] = {}
        outs = {executor: folder / f"{executor}{number}" for executor in ends}
        for executor in list(ends)[:: 1 if number % 2 else -1]:
            ends[executor].send(outs[executor])
            rates[executor] = ends[executor].recv().rates()
        (rate, taken), (ray_rate, ray_taken) = rates["threads"], rates["ray"]
        found.append((rate / ray_rate - 1, ray_taken / taken - 1))
        print(
            f"{rate:.2f} pictures a second by threads, {ray_rate:.2f} by ray: {found[-1][0]:+.1%}; processor time of a picture "
            f"{1000 * taken:.1f} and {1000 * ray_taken:.1f} ms: {found[-1][1]:+.1%}; byte-identical: {same(outs['threads'], outs['ray'])}",
            flush=True,
        )
    for end in ends.values():
        end.send(None)
    for name, values in zip(("time", "processor time"), zip(*found, strict=True), strict=True):
        print(f"overhead in {name}: median {np.median(values):+.1%}, {min(values):+.1%} to {max(values):+.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--task", choices=OPTIONS, default="denoise")
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}  # of both sides alike
    task, count = arguments.task, arguments.pictures
    with TemporaryDirectory() as folder:
        root = Path(folder)
        source = pictures(root / "in", count, arguments.side)
        if arguments.rounds:
            overhead(task, source, root, arguments.rounds)
        restored(task, source, root / "threads", "threads", Clock())
        with cluster(2) as (made, nodes):
            report = restored(task, source, root / "ray", "ray", Clock())
            equal = same(root / "threads", root / "ray")
            print(f"two nodes: {report.done} of {count} pictures, byte-identical: {equal}", flush=True)
            lost = Clock(count // 2, lambda: made.remove_node(nodes[1], allow_graceful=False))
            report = restored(task, source, root / "lost", "ray", lost)
        names = {record.name for record in report.records}
        print(
            f"a node lost at picture {count // 2}: {report.done} done, {report.skipped} found done, {report.failed} failed, "
            f"{len(names)} different of {len(report.records)} records, byte-identical: {same(root / 'threads', root / 'lost')}"
        )


if __name__ == "__main__":
    main()
