"""`NetworkModel`: what the models of most tasks share, a network ready to use and the way from the name of its weights to it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from restore.inference.loading import InferenceOptions, load_network, make_runner
from restore.networks.spec import ModelSpec, RestorationNetwork
from restore.weights_file import Recipe


class NetworkModel:
    """A network and its runner. It keeps no state between pictures, so threads may share one.

    Args:
        network: fits the task.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.

    Attributes:
        task: of the weights that it loads.

    Raises:
        ValueError: the network does not fit the task.
    """

    task: ClassVar[str]

    def __init__(self, network: RestorationNetwork, recipe: Recipe | None = None, options: InferenceOptions | None = None) -> None:
        self.check(network.spec)
        self.recipe: Recipe = recipe or {}
        self.runner = make_runner(network, options)
        self.spec, self.runtime = self.runner.spec, self.runner.runtime

    @classmethod
    def check(cls, spec: ModelSpec) -> None:
        """Raise ValueError if a network does not fit the task; every network of pictures does unless a subclass says otherwise."""

    @classmethod
    def load(cls, name: str | Path, options: InferenceOptions | None = None) -> Self:
        """The model with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: the weights do not exist or are for another task.
        """
        return cls(*load_network(name, cls.task), options)
