"""A training stops between two steps, once, and what comes meanwhile waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restore.training import checkpoint, loop
from restore.training.loop import Hooks, LoopConfig
from restore.training.signals import STOPPING, Stopping
from restore.training.train_state import TrainState
from restore.training.trainer import Diagnosis, StepOutput


class Stopped(KeyboardInterrupt):
    """By a signal."""


@pytest.fixture
def caught() -> Iterator[list[int]]:
    """The signals that reached their own handlers, which raise."""
    numbers: list[int] = []

    def stop(number: int, _frame: object) -> None:
        numbers.append(number)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in STOPPING}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_waits_for_the_end_of_the_step_and_the_others_for_ever(caught: list[int], number: int) -> None:
    stopping, done = Stopping(), []
    with pytest.raises(Stopped), stopping.taking_over():
        try:
            with stopping.held():
                signal.raise_signal(number)
                with stopping.held():
                    signal.raise_signal(signal.SIGTERM)
                done.append("step")
            done.append("not reached")
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
            done.append("saved")
            raise
    assert done == ["step", "saved"]
    assert caught == [number]
    with pytest.raises(Stopped):  # as before
        signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_stays_ignored(caught: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Stopping().taking_over():
        signal.raise_signal(signal.SIGHUP)
    assert caught == []


def test_in_another_thread_nothing_is_taken_over(caught: list[int]) -> None:
    def work() -> None:
        with Stopping().taking_over():
            found.append(signal.getsignal(signal.SIGINT))

    found: list[Any] = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


class Items(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Item i is i."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"index": torch.tensor(float(index))}


class Adding:
    """Adds up what it sees; `during` is called in each step, and when its state is asked for."""

    def __init__(self, during: Callable[[str, int], None]) -> None:
        self.sum, self.steps, self.during, self.loss = 0.0, 0, during, 1.0

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        self.steps += 1
        self.during("step", self.steps)
        self.sum += float(batch["index"].sum())
        return StepOutput({"pixel": torch.tensor(self.loss)})

    def diagnostics(self, step: int) -> list[Diagnosis]:
        return []

    def passed_check(self, step: int) -> bool:
        return True

    def scale_learning_rate(self) -> None:
        pass

    def train_states(self) -> dict[str, TrainState]:
        return {}

    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {}

    def networks(self) -> dict[str, torch.nn.Module]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        self.during("state", self.steps)
        return {"sum": self.sum}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sum = state["sum"]


CONFIG = LoopConfig(steps=10, batch_size=1, checkpoint_every=4)


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("again", STOPPING)
def test_a_second_signal_loses_no_checkpoint(tmp_path: Path, caught: list[int], number: int, again: int) -> None:
    def during(what: str, step: int) -> None:
        if step == 6:
            signal.raise_signal(number if what == "step" else again)

    published: list[int] = []
    with pytest.raises(Stopped):
        loop.run(Adding(during), Items(), CONFIG, tmp_path, hooks=Hooks(on_checkpoint=published.append))
    assert checkpoint.load(tmp_path)["step"] == 6
    assert published == [4, 6]
    assert caught == [number]
    trainer = Adding(lambda what, step: None)
    assert loop.run(trainer, Items(), CONFIG, tmp_path, resume=True) == 10
    assert trainer.sum == sum(range(10))


def test_what_is_no_longer_finite_replaces_no_checkpoint_when_interrupted(tmp_path: Path, caught: list[int]) -> None:
    def during(what: str, step: int) -> None:
        if what == "step" and step == 6:
            trainer.loss = float("nan")
            signal.raise_signal(signal.SIGINT)

    trainer = Adding(during)
    with pytest.raises(Stopped):
        loop.run(trainer, Items(), CONFIG, tmp_path)
    assert checkpoint.load(tmp_path)["step"] == 4


def test_nothing_is_written_of_a_run_that_is_refused(tmp_path: Path) -> None:
    loop.run(Adding(lambda what, step: None), Items(), CONFIG, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    class Other(Adding):
        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            raise KeyError("weights")

    ready: list[int] = []
    with pytest.raises(ValueError, match="another kind of run"):
        loop.run(Other(lambda what, step: None), Items(), CONFIG, tmp_path, resume=True, hooks=Hooks(on_ready=ready.append))
    assert ready == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"step": 1},
        {"step": "many", "trainer": {"sum": 1.0}},
        {"step": -5, "trainer": {"sum": 1.0}},
        {"step": 1, "trainer": [1]},
    ],
)
def test_a_checkpoint_without_what_a_run_needs_is_refused(tmp_path: Path, state: dict[str, Any]) -> None:
    checkpoint.save(tmp_path, state)
    with pytest.raises(ValueError):
        loop.run(Adding(lambda what, step: None), Items(), CONFIG, tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
