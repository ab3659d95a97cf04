"""The loop, with a trainer that is one number: order of the data, logs, checkpoints, resuming, stopping."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restore.training import checkpoint, journal, loop
from restore.training.journal import Progress
from restore.training.loop import Hooks, LoopConfig
from restore.training.train_state import TrainState
from restore.training.trainer import Action, Diagnosis, StepOutput


class Numbers(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Item i is i."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"index": torch.tensor(float(index))}


class Sum:
    """Adds up what it sees, in two halves, so that an interruption between them would show; `during` is called there."""

    def __init__(self, during: Callable[[int], object] = lambda step: None) -> None:
        self.seen: list[list[float]] = []
        self.first = self.second = self.noise = 0.0
        self.during, self.scaled = during, 0

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        self.seen.append(batch["index"].tolist())
        self.first += float(batch["index"].sum())
        self.during(len(self.seen))
        self.second += float(batch["index"].sum())
        self.noise += float(torch.rand(1))
        return StepOutput({"pixel": torch.tensor(self.first)})

    def diagnostics(self, step: int) -> list[Diagnosis]:
        return []

    def passed_check(self, step: int) -> bool:
        return True

    def scale_learning_rate(self) -> None:
        self.scaled += 1

    def train_states(self) -> dict[str, TrainState]:
        return {}

    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"all": torch.zeros(1, 1, 4, 4)}

    def networks(self) -> dict[str, torch.nn.Module]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "noise": self.noise}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.first, self.second, self.noise = state["first"], state["second"], state["noise"]


def _config(steps: int, **rest: int) -> LoopConfig:
    return LoopConfig(**{"steps": steps, "batch_size": 3, "log_every": 2, "checkpoint_every": 4, **rest})


def _straight(folder: Path, steps: int = 10) -> dict[str, Any]:
    torch.manual_seed(0)
    trainer = Sum()
    assert loop.run(trainer, Numbers(), _config(steps), folder) == steps
    return trainer.state_dict()


def _steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_step_k_takes_the_items_of_its_place(tmp_path: Path) -> None:
    trainer = Sum()
    loop.run(trainer, Numbers(), _config(3), tmp_path)
    assert trainer.seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_the_run_is_reported_logged_and_previewed(tmp_path: Path) -> None:
    events: list[Progress] = []
    loop.run(
        Sum(), Numbers(), _config(5, preview_every=4), tmp_path, preview_batch={"index": torch.zeros(1)},
        hooks=Hooks(on_event=events.append),
    )  # fmt: skip
    assert [entry.step for entry in events] == _steps(tmp_path) == [2, 4, 5]
    assert events[-1].losses == {"pixel": sum(range(15))}
    assert events[-1].seconds_left == 0
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == ["000000.png", "000004.png", "000005.png"]
    assert [path.name[:6] for path in (tmp_path / "tensorboard").iterdir()] == ["events"]


def test_the_step_is_reported_between_the_lines_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "QUIET", 0.0)
    events: list[Progress] = []
    loop.run(Sum(), Numbers(), _config(5), tmp_path, hooks=Hooks(on_event=events.append))
    assert [(entry.step, bool(entry.losses)) for entry in events] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
        (5, True),
    ]
    assert _steps(tmp_path) == [2, 4, 5]
    assert all(entry.images_per_second > 0 for entry in events)


@pytest.mark.parametrize("half", [4, 5])
def test_resumed_equals_straight(tmp_path: Path, half: int) -> None:
    expected = _straight(tmp_path / "straight")
    torch.manual_seed(0)
    loop.run(Sum(), Numbers(), _config(half), tmp_path / "halves")
    torch.manual_seed(99)
    resumed = Sum()
    loop.run(resumed, Numbers(), _config(10), tmp_path / "halves", resume=True)
    assert resumed.state_dict() == expected
    assert resumed.seen[0] == [3.0 * half, 3.0 * half + 1, 3.0 * half + 2]


def test_resuming_what_is_finished_changes_nothing(tmp_path: Path) -> None:
    expected = _straight(tmp_path)
    trainer = Sum()
    assert loop.run(trainer, Numbers(), _config(10), tmp_path, resume=True) == 10
    assert (trainer.state_dict(), trainer.seen) == (expected, [])


def test_lines_past_the_checkpoint_are_written_once(tmp_path: Path) -> None:
    def die(step: int) -> None:
        if step == 8:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        loop.run(Sum(die), Numbers(), _config(10, checkpoint_every=5), tmp_path)
    assert _steps(tmp_path) == [2, 4, 6]
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "pix')
    loop.run(Sum(), Numbers(), _config(10, checkpoint_every=5), tmp_path, resume=True)
    assert _steps(tmp_path) == [2, 4, 6, 8, 10]


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own answer to SIGINT, which a test run in the background lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("way", ["between steps", "within a step"])
def test_interrupted_and_resumed_equals_straight(tmp_path: Path, way: str) -> None:
    expected = _straight(tmp_path / "straight")

    def interrupt(step: int) -> None:
        if way == "within a step" and step == 6:
            signal.raise_signal(signal.SIGINT)

    def report(progress: Progress) -> None:
        if way == "between steps" and progress.step == 6:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        loop.run(Sum(interrupt), Numbers(), _config(10), tmp_path / "stopped", hooks=Hooks(on_event=report))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert checkpoint.load(tmp_path / "stopped")["step"] == 6
    resumed = Sum()
    loop.run(resumed, Numbers(), _config(10), tmp_path / "stopped", resume=True)
    assert resumed.state_dict() == expected


def test_a_damaged_newest_checkpoint_costs_only_its_steps(tmp_path: Path) -> None:
    expected = _straight(tmp_path)
    newest = tmp_path / checkpoint.NAME
    newest.write_bytes(newest.read_bytes()[:300])
    resumed = Sum()
    loop.run(resumed, Numbers(), _config(10), tmp_path, resume=True)
    assert resumed.seen[0] == [24, 25, 26]
    assert resumed.state_dict() == expected


def test_a_loss_that_is_not_finite_stops_the_run_before_it_spoils_a_checkpoint(tmp_path: Path) -> None:
    class Exploding(Sum):
        def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
            output = super().step(batch)
            return StepOutput({"pixel": torch.tensor(float("nan"))}) if len(self.seen) >= 6 else output

    with pytest.raises(ValueError, match=r"pixel is no longer finite at step \d+.*lower learning rate"):
        loop.run(Exploding(), Numbers(), _config(100, log_every=50, checkpoint_every=4), tmp_path)
    assert checkpoint.load(tmp_path)["step"] == 4


@pytest.mark.parametrize("name", ["steps", "batch_size", "log_every", "preview_every", "checkpoint_every"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        LoopConfig(**{name: 0})


class Collapsing(Sum):
    """Reports a collapse once, at step 6."""

    action: Action = "rollback"

    def diagnostics(self, step: int) -> list[Diagnosis]:
        return [Diagnosis("collapse", step, "all alike", self.action)] if step == 6 and not self.scaled else []


def test_a_rollback_returns_to_the_checkpoint_and_halves_the_rates(tmp_path: Path) -> None:
    trainer, events = Collapsing(), []
    assert loop.run(trainer, Numbers(), _config(8), tmp_path, hooks=Hooks(on_event=events.append)) == 8
    assert [batch[0] / 3 for batch in trainer.seen] == [0, 1, 2, 3, 4, 5, 4, 5, 6, 7]
    assert trainer.scaled == 1
    assert trainer.first == sum(range(24))
    assert "step 6: all alike" in events
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["diagnosis"] for row in rows if "diagnosis" in row] == ["collapse"]


def test_a_failure_mode_may_stop_the_run_after_a_checkpoint(tmp_path: Path) -> None:
    trainer = Collapsing()
    trainer.action = "stop"
    with pytest.raises(ValueError, match=r"stopped at step 6.*all alike"):
        loop.run(trainer, Numbers(), _config(8), tmp_path)
    assert checkpoint.load(tmp_path)["step"] == 6


class Diverging(Sum):
    """Checked every five steps; breaks in the step after `breaks_at`, as long as its rate is above a limit. A broken state stays broken."""

    def __init__(self, breaks_at: int = 1_000, limit: float = 0.0) -> None:
        super().__init__()
        self.breaks_at, self.limit, self.rate, self.broken, self.passed = breaks_at, limit, 1.0, False, -1

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        output = super().step(batch)
        self.broken = self.broken or (batch["index"][0] / 3 >= self.breaks_at and self.rate > self.limit)
        return output

    def diagnostics(self, step: int) -> list[Diagnosis]:
        if step % 5:
            return []
        if self.broken:
            return [Diagnosis("diverged", step, "diverges", "rollback")]
        self.passed = step
        return []

    def passed_check(self, step: int) -> bool:
        return self.passed == step

    def scale_learning_rate(self) -> None:
        if self.rate <= 1 / 16:
            raise ValueError("halved too often")
        self.rate /= 2

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "broken": self.broken, "rate": self.rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.broken, self.rate, self.passed = state["broken"], state["rate"], -1


def _states(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / name, weights_only=True) for name in (checkpoint.NAME, checkpoint.PREVIOUS)]


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7])
def test_a_run_that_diverges_for_ever_leaves_a_healthy_checkpoint(tmp_path: Path, every: int) -> None:
    loop.run(Diverging(), Numbers(), _config(20, checkpoint_every=every), tmp_path)
    with pytest.raises(ValueError, match=r"halved too often\. The run is back at step \d+: --resume .* 0\.0625 of its rate"):
        loop.run(Diverging(20), Numbers(), _config(60, checkpoint_every=every), tmp_path, resume=True)
    newest, previous = _states(tmp_path)
    assert not newest["trainer"]["broken"] and not previous["trainer"]["broken"]
    assert newest["step"] in (20, previous["step"]) and newest["trainer"]["rate"] == 1 / 16
    mended = Diverging()
    assert loop.run(mended, Numbers(), _config(60, checkpoint_every=every), tmp_path, resume=True) == 60
    assert mended.first == sum(range(180)) and not mended.broken


def test_a_rollback_passes_over_checkpoints_that_failed_or_had_no_check(tmp_path: Path) -> None:
    trainer = Diverging(11, limit=0.5)
    loop.run(trainer, Numbers(), _config(20, checkpoint_every=1), tmp_path)
    assert [batch[0] / 3 for batch in trainer.seen] == [*range(15), *range(10, 20)]
    assert trainer.rate == 0.5 and trainer.first == sum(range(60))


def test_a_rollback_to_what_fails_again_goes_back_further(tmp_path: Path) -> None:
    """The break came just before a check that did not see it."""

    class Unseen(Diverging):
        def diagnostics(self, step: int) -> list[Diagnosis]:
            diagnoses = super().diagnostics(step)
            self.passed = step if step == 10 else self.passed
            return [] if step == 10 else diagnoses

    trainer = Unseen(9, limit=0.5)
    loop.run(trainer, Numbers(), _config(20, checkpoint_every=5), tmp_path)
    assert [batch[0] / 3 for batch in trainer.seen] == [*range(15), *range(10, 15), *range(5, 20)]
    assert trainer.rate == 0.25 and not trainer.broken


def test_unchecked_checkpoints_leave_the_last_that_passed_alone(tmp_path: Path) -> None:
    loop.run(Diverging(), Numbers(), _config(10, checkpoint_every=5), tmp_path)
    loop.run(Diverging(), Numbers(), _config(14, checkpoint_every=1), tmp_path, resume=True)
    assert [state["step"] for state in _states(tmp_path)] == [14, 10]


def test_a_diagnosis_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events: list[object] = []
    loop.run(Collapsing(), Numbers(), _config(8), tmp_path / "heard", hooks=Hooks(on_event=events.append))
    assert events.count("step 6: all alike") == 1 and "all alike" not in caplog.text
    loop.run(Collapsing(), Numbers(), _config(8), tmp_path / "unheard")
    assert caplog.messages.count("step 6: all alike") == 1


def test_the_pace_after_a_rollback_is_that_of_its_own_steps(tmp_path: Path) -> None:
    events: list[Any] = []
    loop.run(Collapsing(), Numbers(), _config(20, log_every=5, checkpoint_every=2), tmp_path, hooks=Hooks(on_event=events.append))
    progress = [event for event in events if isinstance(event, Progress)]
    assert all(entry.images_per_second > 0 and 0 <= entry.seconds_left < 1e5 for entry in progress)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(row.get("images_per_second", 1) > 0 for row in rows)


def test_a_meter_without_a_step_claims_no_pace() -> None:
    progress = journal.Meter(7, 20, 3).read(7, {"pixel": 0.5})
    assert (progress.images_per_second, str(progress)) == (0, "step      7/20  pixel 0.5")
