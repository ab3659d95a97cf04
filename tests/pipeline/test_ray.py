"""The Ray executor on a cluster of two nodes on this machine: the results of the threaded executor, also where a node is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import batch_steps
import pytest
from batch_steps import Inverse, folder, results, tree

import restore
from restore.pipeline.batch import BatchOptions, Event, Interrupted, run
from restore.pipeline.ray_cluster import PICTURES_AHEAD
from restore.pipeline.step import Image, Result, Sidecars

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"),
]
RAY = BatchOptions(executor="ray", workers=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node for the driver, which restores nothing, and two nodes of one core."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    ray.cloudpickle.register_pickle_by_value(batch_steps)  # the nodes do not have the tests
    yield made
    ray.shutdown()
    made.shutdown()


def at(count: int, what: Callable[[], object]) -> Callable[[Event], None]:
    """A listener that calls `what` at the `count`th record."""

    def listen(event: Event) -> None:
        if event.kind == "record" and event.index == count:
            what()

    return listen


def test_results_and_reports_are_those_of_the_threads(tmp_path: Path, cluster: Any) -> None:
    source = folder(tmp_path / "in", 16)
    (source / "bad.png").write_bytes(b"no picture")
    here = run(Inverse(), [source], tmp_path / "here")
    there = run(Inverse(), [source], tmp_path / "there", RAY)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert [(one.name, one.status, one.error) for one in there.records] == [(one.name, one.status, one.error) for one in here.records]
    assert (there.done, there.failed) == (16, 1)
    assert run(Inverse(), [source], tmp_path / "there", RAY).skipped == 16


def test_a_network_gives_the_same_pictures(tmp_path: Path, cluster: Any) -> None:
    source = folder(tmp_path / "in", 16, (48, 64))
    settings: dict[str, Any] = {"device": "cpu", "precision": "fp32"}
    restore.run("denoise", source, tmp_path / "here", **settings)
    report = restore.run("denoise", source, tmp_path / "there", batch=replace(RAY, device="cpu"), **settings)
    assert report.done == 16
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


def test_a_lost_node_loses_no_picture(tmp_path: Path, cluster: Any) -> None:
    source = folder(tmp_path / "in", 48)
    run(Inverse(), [source], tmp_path / "here")
    node = cluster.list_all_nodes()[-1]
    report = run(Inverse(0.1), [source], tmp_path / "there", RAY, at(5, lambda: cluster.remove_node(node, allow_graceful=False)))
    try:
        assert report.failed == 0
        assert report.done + report.skipped == len({record.name for record in report.records}) == 48
        assert report.skipped <= 1 + PICTURES_AHEAD, "only pictures that the lost worker had, written before their records came"
        written = {name: (tmp_path / "there" / name).read_bytes() for name in results(tmp_path / "there")}
        assert written == {name: (tmp_path / "here" / name).read_bytes() for name in results(tmp_path / "here")}
        assert {path.name for path in (tmp_path / "there/.restore").iterdir()} == {"done"}
    finally:
        cluster.add_node(num_cpus=1)


class Deadly(Inverse):
    """Ends its process at one picture."""

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        if image.info.path.name == "001.png":
            os._exit(9)
        return super().__call__(image)


def test_a_picture_that_kills_its_workers_fails_alone(tmp_path: Path, cluster: Any) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    report = run(Deadly(), [folder(tmp_path / "in", 4)], tmp_path / "out", RAY)
    assert (report.done + report.skipped, report.failed) == (3, 1)
    failed = next(record for record in report.records if record.status == "failed")
    assert failed.input.name == "001.png" and "3 workers died" in failed.error


def test_an_interrupted_run_reports_what_is_done_and_can_go_on(tmp_path: Path, cluster: Any) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    source = folder(tmp_path / "in", 40)
    with pytest.raises(Interrupted) as caught:
        run(Inverse(0.05), [source], tmp_path / "out", RAY, at(3, stop))
    report = caught.value.report
    assert report.interrupted and 3 <= report.done < 40 and report.failed == 0
    assert all(record.output is not None and record.output.exists() for record in report.records)
    again = run(Inverse(0.05), [source], tmp_path / "out", RAY)
    assert again.done + again.skipped == 40 and again.skipped >= report.done
