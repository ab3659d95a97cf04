"""What a run publishes at every checkpoint: its averaged weights with their recipe, ready to be used by the run's name, and their card."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restore import runtime, weights
from restore.tasks.prepared import Prepared
from restore.training import config as configuration
from restore.writing import atomic_write


@dataclass(frozen=True)
class Publisher:
    """Writes a run's weights and card.

    Attributes:
        folder: the run's, whose name the weights bear.
        prepared: the run.
        method, summary: what is trained, as METHODS has it.
        dataset: as the user named it.
        config: the run's configuration.
    """

    folder: Path
    prepared: Prepared
    method: str
    summary: str
    dataset: str | Path
    config: Any

    @property
    def path(self) -> Path:
        """The weights file."""
        return self.folder / f"{self.folder.resolve().name}{weights.SUFFIX}"

    def publish(self, step: int) -> None:
        """Write what the averaged networks are after `step`, each file whole or not at all."""
        networks = self.prepared.trainer.networks()
        recipe = {**self.prepared.recipe, "method": self.method, "steps": step, "made with": made_with()}
        if len(networks) == 1:
            tensors = next(iter(networks.values())).state_dict()
        else:  # several in one file, each key behind its network's name: see `Restorer.load`
            tensors = {f"{part}.{key}": value for part, network in networks.items() for key, value in network.state_dict().items()}
        weights.save(self.path, tensors, recipe)
        with atomic_write(self.path.with_suffix(".md")) as draft:
            draft.write_text(self._card(step), encoding="utf-8", errors="backslashreplace")

    def make_up_for(self, step: int) -> None:
        """Publish what a run that stopped after the checkpoint of `step` did not come to; what is there, edited cards too, stays."""
        try:
            done = weights.entry(self.path).recipe.get("steps", step) == step
        except ValueError:  # none is there, or none that can be read
            done = False
        if not done:
            self.publish(step)

    def _card(self, step: int) -> str:
        facts = "\n".join(f"- {key}: {value}" for key, value in self.prepared.facts.items())
        goal = self.config.loop.steps
        unfinished = f" (of {goal} that it was to train)" if step < goal else ""
        return (
            f"# {self.path.stem}\n\n{self.summary}. Trained {step} steps{unfinished} with seed {self.config.seed} on {self.dataset}.\n\n"
            f"- for: {self.summary}\n- licence: {weights.UNSTATED}\n"
            f"{facts}\n- hardware: {made_with()}\n\nThe terms of the training pictures apply to these weights: add them here, with "
            f"figures, their protocol and known failures.\n\n```toml\n{configuration.to_toml(self.config)}```\n"
        )


def made_with() -> str:
    """The hardware and the library that a run ran on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    features = ", ".join(sorted(runtime.cpu_features()))
    return (
        f"{device} ({torch.get_num_threads()} threads{', ' + features if features else ''}), torch {torch.__version__}"
    )
