"""What a run publishes at every checkpoint: its averaged weights with their recipe, usable by the run's name, and their card."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from restore import runtime, weights
from restore.tasks.prepared_run import Prepared
from restore.training import config as configuration
from restore.training.training_config import TrainingConfig
from restore.writing import atomic_write, real


@dataclass(frozen=True)
class Publisher:
    """Writes a run's weights and card.

    Attributes:
        folder: the run's folder; the weights get its name.
        prepared: the run.
        method, summary: what is trained; a row of METHODS.
        dataset: as the user named it.
        dataset_name: the name of its folder, which may be out of reach when a checkpoint is written.
        config: the run's configuration.
    """

    folder: Path
    prepared: Prepared
    method: str
    summary: str
    dataset: Path
    dataset_name: str
    config: TrainingConfig

    @property
    def path(self) -> Path:
        """The weights file."""
        return self.folder / f"{real(self.folder).name}{weights.SUFFIX}"

    @property
    def best_path(self) -> Path:
        """The weights file of the best validation."""
        return self.path.with_stem(f"{self.path.stem}-best")

    def publish(self, step: int) -> None:
        """Write the averaged networks and the card after `step`, each file completely or not at all."""
        self._write(self.path, step, {})

    def publish_best(self, step: int, scores: Mapping[str, float]) -> None:
        """Write them as the best ones so far, with the scores of their validation."""
        self._write(self.best_path, step, scores)

    def published_best(self) -> dict[str, float]:
        """The scores of the best weights so far, by metric; empty without such weights, or if they are of another dataset."""
        try:
            recipe = weights.entry(self.best_path).recipe
        except ValueError:  # there are none, or they cannot be read
            return {}
        scores = recipe.get("validation")
        if not isinstance(scores, dict) or recipe.get("dataset") != self.dataset_name:
            return {}
        return {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}

    def _write(self, path: Path, step: int, scores: Mapping[str, float]) -> None:
        networks = self.prepared.trainer.networks()
        recipe = {
            **self.prepared.recipe, "training": configuration.as_dict(self.config), "method": self.method, "steps": step,
            "dataset": self.dataset_name,
            "environment": environment(), **({"validation": dict(scores)} if scores else {}),
        }  # fmt: skip
        if len(networks) == 1:
            tensors = next(iter(networks.values())).state_dict()
        else:  # several in one file, each key after its network's name: see `weights.select_network`
            tensors = {f"{part}.{key}": value for part, network in networks.items() for key, value in network.state_dict().items()}
        weights.save(path, tensors, recipe)
        with atomic_write(path.with_suffix(".md")) as draft:
            draft.write_text(self._card(path.stem, step, scores), encoding="utf-8", errors="backslashreplace")

    def _licence(self) -> str:
        """The terms of the weights that the run started from, which hold for what was made of them; unstated without."""
        if not self.config.start_from:
            return weights.UNSTATED
        try:
            given = weights.find(self.config.start_from)
        except ValueError:  # gone since
            return weights.UNSTATED
        return given.licence if given.licence == weights.UNSTATED else f"{given.licence} (of {given.name}, which it started from)"

    def publish_missing(self, step: int) -> None:
        """Publish if the run was killed between its checkpoint of `step` and publishing; existing files, edited cards too, stay."""
        try:
            done = weights.entry(self.path).recipe.get("steps", step) == step
        except ValueError:  # there is none, or it cannot be read
            done = False
        if not done:
            self.publish(step)

    def _card(self, name: str, step: int, scores: Mapping[str, float]) -> str:
        stats = "\n".join(f"- {key}: {value}" for key, value in self.prepared.stats.items())
        goal = self.config.loop.steps
        validated = "".join(f"- validation {metric}: {value:.4g} (held-out crops)\n" for metric, value in scores.items())
        unfinished = f" (of {goal} planned)" if step < goal else ""
        return (
            f"# {name}\n\n{self.summary}. Trained {step} steps{unfinished} with seed {self.config.seed} on {self.dataset}.\n\n"
            f"- for: {self.summary}\n- licence: {self._licence()}\n"
            f"{stats}\n- hardware: {environment()}\n{validated}\n"
            "The terms of the training pictures apply to these weights: add them here, with "
            f"figures, their protocol and known failures.\n\n```toml\n{configuration.to_toml(self.config)}```\n"
        )


def environment() -> str:
    """Describe the hardware and the library of a run."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    features = ", ".join(sorted(runtime.cpu_features()))
    return f"{device} ({torch.get_num_threads()} threads{', ' + features if features else ''}), torch {torch.__version__}"
