"""Validation: scores on held-out images, the best weights, early stopping; and that none of it changes the training."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from test_loop import Numbers, Sum
from torch import Tensor

from restore.training import checkpoint, loop, run_page, trackers
from restore.training.loop import Hooks, LoopConfig
from restore.training.trainer import Diagnosis
from restore.training.validation import BestSoFar, Validation, ValidationMetric


class Scored(Sum):
    """Its preview is the number of its next entry in `values`."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = values

    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        value = self.values[min(len(self.seen), len(self.values) - 1)]
        return {"prediction": torch.full((2, 1, 2, 2), value), "target": torch.zeros(2, 1, 2, 2)}


ERROR = ValidationMetric(
    lambda predictions, targets: float(np.mean([np.abs(a - b).mean() for a, b in zip(predictions, targets, strict=True)])), False
)
VALIDATION = Validation([{"index": torch.zeros(2)}] * 2, {"error": ERROR}, "error")


def _config(steps: int, **rest: int) -> LoopConfig:
    return LoopConfig(**{"steps": steps, "batch_size": 3, "log_every": 4, "checkpoint_every": 4, "validate_every": 2, **rest})


def _scores(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {row["step"]: row["validation error"] for row in rows if "validation error" in row}


def test_scores_are_logged_and_the_best_is_kept(tmp_path: Path) -> None:
    best: list[tuple[int, float]] = []
    events: list[object] = []
    hooks = Hooks(on_event=events.append, on_best=lambda step, scores: best.append((step, scores["error"])))
    values = [1, 0.9, 0.8, 0.7, 0.9, 0.5, 0.6, 0.6]
    assert loop.run(Scored(values), Numbers(), _config(7), tmp_path, validation=VALIDATION, hooks=hooks) == 7
    assert _scores(tmp_path) == pytest.approx({2: 0.8, 4: 0.9, 6: 0.6, 7: 0.6})
    assert [step for step, _ in best] == [2, 6]
    assert "step 6: validation error 0.6 (best)" in events and "step 4: validation error 0.9" in events


def test_the_run_stops_early_and_says_so_again(tmp_path: Path) -> None:
    values = [1, 0.9, 0.2, 0.7, 0.9, 0.5, 0.6, 0.6, 0.1]
    events: list[object] = []
    trainer = Scored(values)
    config = _config(20, patience=2)
    assert loop.run(trainer, Numbers(), config, tmp_path, validation=VALIDATION, hooks=Hooks(on_event=events.append)) == 6
    assert "step 6: stopped early, 2 validations after the best (0.2 at step 2)" in events
    again = Scored(values)
    assert loop.run(again, Numbers(), config, tmp_path, validation=VALIDATION, resume=True, hooks=Hooks(on_event=events.append)) == 6
    assert "raise loop.patience" in str(events[-1]) and again.seen == []
    assert loop.run(again, Numbers(), _config(8), tmp_path, validation=VALIDATION, resume=True) == 8


def test_validation_changes_no_training_and_resumes(tmp_path: Path) -> None:
    values = [1, 0.9, 0.8, 0.7, 0.9, 0.5, 0.6, 0.6, 0.7]

    def trained(folder: str, steps: list[int], validation: Validation | None) -> tuple[dict[str, float], list[int]]:
        torch.manual_seed(0)
        best: list[int] = []
        trainer = Scored(values)
        for number, goal in enumerate(steps):
            seen = len(trainer.seen)
            trainer = Scored(values)
            trainer.seen = [[0.0]] * seen  # where `values` stands
            hooks = Hooks(on_best=lambda step, scores: best.append(step))
            loop.run(trainer, Numbers(), _config(goal), tmp_path / folder, validation=validation, resume=number > 0, hooks=hooks)
        return trainer.state_dict(), best

    straight, best = trained("straight", [8], VALIDATION)
    assert trained("without", [8], None)[0] == straight
    assert trained("halves", [4, 8], VALIDATION) == (straight, best)
    assert _scores(tmp_path / "halves") == _scores(tmp_path / "straight")


def test_patience_needs_held_out_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hold pictures out"):
        loop.run(Scored([1]), Numbers(), _config(4, patience=1), tmp_path)


def test_a_score_that_is_not_finite_is_not_logged(tmp_path: Path) -> None:
    """JSON has no such numbers."""
    best: list[dict[str, float]] = []
    metrics = {"error": ERROR, "share": ValidationMetric(lambda predictions, targets: float("nan"), True)}
    validation = Validation([{"index": torch.zeros(2)}], metrics, "error")
    loop.run(
        Scored([1]), Numbers(), _config(2), tmp_path, validation=validation, hooks=Hooks(on_best=lambda _, scores: best.append({**scores}))
    )
    assert _scores(tmp_path) == {2: 1} and best == [{"error": 1}]
    assert "NaN" not in (tmp_path / "log.jsonl").read_text() and "share" not in (tmp_path / "log.jsonl").read_text()


def test_a_score_that_is_not_finite_is_never_the_best() -> None:
    best = BestSoFar()
    assert not best.update(float("nan"), 1, higher_is_better=True)
    assert best.update(3.0, 2, higher_is_better=True)
    assert not best.update(float("inf"), 3, higher_is_better=True)
    assert (best.value, best.step, best.since) == (3.0, 2, 1)


def test_the_page_shows_the_run_and_escapes_its_texts(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run"
    folder.mkdir()
    loop.run(
        Scored([1, 0.5]), Numbers(), _config(5, preview_every=2), folder, preview_batch={"index": torch.zeros(1)}, validation=VALIDATION
    )
    page = (folder / run_page.NAME).read_text(encoding="utf-8")
    assert "<b>run" not in page and "&lt;b&gt;run" in page
    assert page.count("data:image/webp") == 5  # steps 0, 2, 4, 5 for the slider, and the newest
    assert "validation error: 0.5" in page and "pixel: " in page
    assert "http" not in page.replace("http-equiv", "")


class _Tracker:
    """Keeps what it is told."""

    requires_logging_directory = False
    made: list[_Tracker] = []  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name, self.rows, self.settings, self.finished = name, [], {}, False
        self.made.append(self)

    def start(self) -> None: ...

    def store_init_configuration(self, values: dict[str, object]) -> None:
        self.settings = values

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.rows.append((step, dict(values)))
        if step == 4:
            raise ConnectionError("the server is away")

    def finish(self) -> None:
        self.finished = True


def test_trackers_hear_of_every_row_and_never_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import tracking

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "mlflow", _Tracker)
    _Tracker.made.clear()
    config = LoopConfig(steps=5, batch_size=3, log_every=2, validate_every=5, trackers=("mlflow",))
    loop.run(Scored([1, 0.5]), Numbers(), config, tmp_path / "mine", validation=VALIDATION, settings={"loop.steps": 5})
    (tracker,) = _Tracker.made
    assert tracker.name == "mine" and tracker.settings == {"loop.steps": 5} and tracker.finished
    assert [step for step, _ in tracker.rows] == [2, 4, 5, 5]
    assert "pixel" in tracker.rows[0][1] and "validation error" in {name for _, row in tracker.rows for name in row}


def test_trackers_are_known_and_a_missing_package_is_named(tmp_path: Path) -> None:
    from accelerate import tracking

    assert {*trackers.TRACKERS, "tensorboard"} == set(tracking.LOGGER_TYPE_TO_CLASS)
    with pytest.raises(ValueError, match="did you mean mlflow"):
        LoopConfig(trackers=("mlfow",))
    with pytest.raises(ValueError, match="tracker dvclive"):
        trackers.start(["dvclive"], tmp_path, {})


@pytest.mark.parametrize("published", [{"error": 0.5}, {"error": 0.9}, {"share": 0.1}, {}])
def test_worse_weights_do_not_replace_those_that_were_published_before_a_kill(tmp_path: Path, published: dict[str, float]) -> None:
    """The checkpoint is older than the best weights."""
    loop.run(Scored([1, 0.9, 0.8, 0.8, 0.8]), Numbers(), _config(4), tmp_path, validation=VALIDATION)
    best: list[tuple[int, float]] = []
    hooks = Hooks(on_best=lambda step, scores: best.append((step, scores["error"])), published_best=lambda: published)
    values = [0.7, 0.7, 0.7, 0.6, 0.4, 0.45]  # steps 6, 8 and 10 of the run
    loop.run(Scored(values), Numbers(), _config(9), tmp_path, validation=VALIDATION, resume=True, hooks=hooks)
    limit = published.get("error", 1)
    assert [(step, pytest.approx(value)) for step, value in best] == [one for one in ((6, 0.7), (8, 0.4)) if one[1] <= limit]


def test_a_rollback_keeps_the_best_validation(tmp_path: Path) -> None:
    class Failing(Scored):
        def diagnostics(self, step: int) -> list[Diagnosis]:
            return [Diagnosis("collapse", step, "all alike", "rollback")] if step == 7 and not self.scaled else []

    best: list[int] = []
    values = [1, 1, 1, 0.9, 0.9, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8, 0.8, 0.1, 0.1]
    hooks = Hooks(on_best=lambda step, scores: best.append(step))
    loop.run(Failing(values), Numbers(), _config(10), tmp_path, validation=VALIDATION, hooks=hooks)
    assert best == [2, 4, 6, 10]


def test_another_metric_begins_the_best_anew(tmp_path: Path) -> None:
    loop.run(Scored([0.1] * 9), Numbers(), _config(4), tmp_path, validation=VALIDATION)
    score = ValidationMetric(lambda predictions, targets: -ERROR.score(predictions, targets), True)
    other = Validation(VALIDATION.batches, {"score": score}, "score")
    events: list[object] = []
    best: list[int] = []
    hooks = Hooks(on_event=events.append, on_best=lambda step, scores: best.append(step))
    config = _config(8, patience=3)
    assert loop.run(Scored([0.5] * 9), Numbers(), config, tmp_path, validation=other, resume=True, hooks=hooks) == 8
    assert best == [6]
    assert events[0] == "the best weights are chosen by score from here on, and were by error: the best so far begins anew"
    again: list[object] = []
    loop.run(Scored([0.5] * 9), Numbers(), _config(10), tmp_path, validation=other, resume=True, hooks=Hooks(on_event=again.append))
    assert not [event for event in again if "anew" in str(event)]


class Interrupted(Scored):
    """Gets SIGINT in a step, or in the preview or the validation after it."""

    def __init__(self, values: list[float], at: str, step: int) -> None:
        super().__init__(values)
        self.at, self.interrupted_at, self.previews = at, step, 0
        self.during = lambda step: self._interrupt("step")

    def _interrupt(self, at: str) -> None:
        if at == self.at and len(self.seen) == self.interrupted_at:
            signal.raise_signal(signal.SIGINT)

    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.previews += 1
        self._interrupt("preview" if "all" in batch else "validation")
        return super().preview(batch)

    def diagnostics(self, step: int) -> list[Diagnosis]:
        return [Diagnosis("checkerboard", step, "a pattern")] if step % 3 == 0 else []


def _rows(folder: Path) -> list[str]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return sorted(json.dumps({name: value for name, value in row.items() if name != "images_per_second"}, sort_keys=True) for row in rows)


@pytest.mark.parametrize(
    ("at", "step"),
    [*(("step", step) for step in (1, 2, 3, 4, 6, 8)), *((at, step) for at in ("preview", "validation") for step in (2, 4, 6, 8))],
)
def test_an_interrupted_step_is_followed_up_after_resuming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, step: int) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)
    values = [1, 0.9, 0.8, 0.7, 0.9, 0.5, 0.6, 0.6, 0.5, 0.5]
    config = _config(8, log_every=1, preview_every=2, patience=5)
    batch = {"index": torch.zeros(1), "all": torch.zeros(1)}
    best: dict[str, list[tuple[int, float]]] = {"straight": [], "stopped": []}

    def run(folder: str, trainer: Scored, resume: bool = False) -> None:
        hooks = Hooks(on_best=lambda step, scores: best[folder].append((step, scores["error"])))
        loop.run(
            trainer, Numbers(), config, tmp_path / folder, validation=VALIDATION, preview_batch=batch, resume=resume, hooks=hooks
        )  # fmt: skip

    torch.manual_seed(0)
    run("straight", Interrupted(values, "never", 0))
    torch.manual_seed(0)
    trainer = Interrupted(values, at, step)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", trainer)
    assert checkpoint.load(tmp_path / "stopped")["step"] == step
    resumed = Interrupted(values, "never", 0)
    resumed.seen = [[0.0]] * step  # where `values` stands
    run("stopped", resumed, resume=True)
    assert _rows(tmp_path / "stopped") == _rows(tmp_path / "straight")
    assert best["stopped"] == best["straight"]
    names = [sorted(path.name for path in (tmp_path / folder / "previews").iterdir()) for folder in best]
    assert names[0] == names[1]
    states = [checkpoint.load(tmp_path / folder) for folder in best]
    assert states[0] == states[1]
