"""Compares results of one or several contenders with references."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from restore.metrics import DEFAULT_METRICS, METRICS, Metric
from restore.metrics.comparison import saved_scores
from restore.metrics.comparison.outcome import Comparison, PictureScores, labels_of
from restore.metrics.comparison.pairing import Problem, pair
from restore.metrics.comparison.protocol import protocol_of
from restore.metrics.comparison.saved_scores import SavedScores
from restore.metrics.comparison.scoring import Scored, Task, score_all


@dataclass(frozen=True)
class Setting:
    """How to compare.

    Attributes:
        metrics: the metrics to compute. Those whose weights are missing go to `Comparison.left_out`.
        channels: "rgb", or "y" for luma as published tables use.
        border: pixels left out on every side.
    """

    metrics: Mapping[str, Metric] = field(default_factory=lambda: {name: METRICS[name] for name in DEFAULT_METRICS})
    channels: str = "rgb"
    border: int = 0


@dataclass(frozen=True)
class Listeners:
    """Functions that are called while a comparison runs.

    Attributes:
        started: with the comparison, still empty, and the number of pictures to score.
        happened: with the scores of each picture and with each problem.
    """

    started: Callable[[Comparison, int], None] = lambda _comparison, _total: None
    happened: Callable[[PictureScores | Problem], None] = lambda _event: None


def compare(
    results: Path, reference: Path, *, against: Sequence[Path] = (), setting: Setting | None = None, listeners: Listeners | None = None
) -> Comparison:
    """Score every picture of `results` against its partner in `reference`; two files are compared with each other.

    Args:
        results: a folder of restored pictures, or one picture.
        reference: a folder of reference pictures, or one picture.
        against: other contenders: folders (or pictures), and JSON lines of an earlier comparison with the same references.
        setting: metrics, channels and border.
        listeners: see `Listeners`.

    Raises:
        ValueError: there is nothing to compare, one path is a file and the other a folder, or stored scores have another protocol.
    """
    setting, listeners = setting or Setting(), listeners or Listeners()
    left_out = {name: why for name, metric in setting.metrics.items() if (why := metric.problem()) is not None}
    usable = {name: metric for name, metric in setting.metrics.items() if name not in left_out}
    comparison = Comparison(
        labels_of([results, *against]), protocol_of(usable, channels=setting.channels, border=setting.border), left_out=left_out
    )
    contenders = _Contenders(comparison, results, reference, against)
    start = time.perf_counter()
    listeners.started(comparison, len(contenders.tasks))
    for problem in contenders.problems:
        comparison.problems.append(problem)
        listeners.happened(problem)
    for scored in score_all(contenders.tasks, comparison.protocol, usable):
        for stage, seconds in scored.seconds.items():
            comparison.seconds[stage] += seconds
        for event in contenders.events(scored):
            listeners.happened(event)
    comparison.seconds["wall"] = time.perf_counter() - start
    return comparison


class _Contenders:
    """The pictures of all contenders, matched by their references; adds the scores to the comparison."""

    def __init__(self, comparison: Comparison, results: Path, reference: Path, against: Sequence[Path]) -> None:
        self.comparison = comparison
        self._single = not against
        self.saved: dict[str, SavedScores] = {}
        folders: dict[str, Path] = {comparison.contenders[0]: results}
        for label, path in zip(comparison.contenders[1:], against, strict=True):
            if saved_scores.is_saved(path):
                self.saved[label] = saved_scores.load(path)
                self.saved[label].check(comparison.protocol)
            else:
                folders[label] = path
        self.tasks, self.problems = self._tasks(folders, reference)

    def _tasks(self, folders: Mapping[str, Path], reference: Path) -> tuple[list[Task], list[Problem]]:
        """A task for each picture of the first contender that has a reference."""
        first = self.comparison.contenders[0]
        pairs, problems = pair(folders[first], reference)
        problems = [replace(problem, contender=self._shown(first)) for problem in problems]
        others: dict[str, dict[str, list[Path]]] = {}
        for label, folder in list(folders.items())[1:]:
            found, lacking = pair(folder, reference)
            others[label] = {}
            for entry in found:
                others[label].setdefault(entry.reference_name, []).append(entry.result)
            problems += [replace(problem, contender=label) for problem in lacking]
        tasks = []
        for entry in pairs:
            files = {first: entry.result}
            for label, results in others.items():
                candidates = results.get(entry.reference_name, [])
                same = [path for path in candidates if path.name == entry.result.name] or candidates
                if len(same) == 1:
                    files[label] = same[0]
                elif same:
                    problems.append(Problem(entry.name, f"several results match: {', '.join(path.name for path in same)}", label))
            tasks.append(Task(entry.name, entry.reference, entry.reference_name, files))
        return tasks, sorted(problems, key=lambda problem: problem.name)

    def _shown(self, contender: str) -> str:
        """The contender's name in problems; with one contender it goes without saying."""
        return "" if self._single else contender

    def events(self, scored: Scored) -> list[PictureScores | Problem]:
        """Add a picture's scores and problems to the comparison, and return them."""
        task = scored.task
        problems = [replace(problem, contender=self._shown(problem.contender)) for problem in scored.problems]
        scores: dict[str, Mapping[str, float]] = dict(scored.scores)
        for label, saved in self.saved.items():
            try:
                known = saved.of(task.name, task.reference_name)
            except ValueError as error:
                problems.append(Problem(task.name, str(error), label))
                continue
            if scored.digest != saved.digests[task.reference_name]:
                problems.append(Problem(task.name, "its scores belong to another reference of the same name", label))
            else:
                scores[label] = {name: known[name] for name in self.comparison.metrics if name in known}
        self.comparison.problems += problems
        if not scored.scores:
            return [*problems]
        labels = self.comparison.contenders
        files = (task.reference, *(task.results.get(label) for label in labels))
        picture = PictureScores(
            task.name, tuple(scores.get(label) for label in labels), task.reference_name, scored.digest, files, scored.lacking
        )
        self.comparison.pictures.append(picture)
        return [*problems, picture]
