"""The trainer of a generator of pictures from noise, with or without labels: the 2014 GAN, DCGAN, WGAN, conditional GAN, StyleGAN2, R3GAN.

They differ in their networks and settings. The discriminator's part is in `sample_discriminator.py`, the losses in `objectives.py` and
`penalties.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from restore import distributed
from restore.gan import monitor, penalties
from restore.gan.monitor import MonitorConfig, TrainingMonitor
from restore.gan.sample_discriminator import SampleDiscriminatorTrainer
from restore.limits import check_fields
from restore.networks.generators.spec import Generator
from restore.runtime import Runtime
from restore.training.micro_batches import mean, split
from restore.training.optimizers import OptimizerConfig
from restore.training.train_state import StateDict, TrainState
from restore.training.trainer import Diagnosis, StepOutput

PATH_DECAY = 0.01
"""How fast the mean path length follows (Karras et al. 2020, section 3.2)."""
COLUMNS = 8
"""Of a preview."""


@dataclass(frozen=True)
class GenerationLossConfig:
    """What the generator minimises in addition to the discriminator's loss."""

    every: int = field(
        default=1, metadata={"help": "steps between two updates of the generator (5 for wasserstein)", "range": (1, 1_000_000)}
    )
    path_length: float = field(
        default=0.0, metadata={"help": "weight of the squared deviation of the path length (2 for stylegan2)", "range": (0, 1e6)}
    )
    path_every: int = field(
        default=4, metadata={"help": "updates of the generator between two such terms, each multiplied by this", "range": (1, 1_000_000)}
    )
    style_mixing: float = field(default=0.0, metadata={"help": "fraction of the pictures made with two styles", "range": (0, 1)})

    def __post_init__(self) -> None:
        check_fields(self)


class UnconditionalTrainer:
    """Trains a generator against a discriminator.

    A batch is {"real": (B, C, S, S), "latent": (B, Z)}, with "label" (B) where there are classes, "pixel_noise" (B, N) where the
    generator takes it, and "mixed" (B, Z) and "crossover" (B), the layer from which on the style is that of "mixed".

    Args:
        generator: the network whose average is published.
        discriminator: trained with it.
        optimizer: of the generator.
        runtime: device and precision.
        losses: weights and intervals.
        monitor_config: thresholds of the failure modes.
        probe: a batch whose pictures are measured for them.
        micro_batches: a batch goes through the networks in so many equal parts.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, most with a default
        self, generator: Generator, discriminator: SampleDiscriminatorTrainer, optimizer: OptimizerConfig, runtime: Runtime, *,
        losses: GenerationLossConfig, monitor_config: MonitorConfig | None = None, probe: Mapping[str, Tensor] | None = None,
        micro_batches: int = 1,
    ) -> None:  # fmt: skip
        self.runtime, self.losses, self.micro_batches, self.spec = runtime, losses, micro_batches, generator.spec
        self.generator, self.discriminator = TrainState(generator, optimizer, runtime), discriminator
        self.monitor, self.probe = TrainingMonitor(monitor_config), probe
        self.mean_path_length = torch.zeros((), device=runtime.device)

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Update the generator, at every `losses.every`-th step, then the discriminator."""
        batch = self._to_device(batch)
        if self.discriminator.state.steps % self.losses.every == 0:
            output = self._update_generator(batch)
        else:
            with torch.no_grad():
                output = StepOutput({}, {"output": self.generate(self._network, batch)})
        judged = {"real": batch["real"], "fake": output.images["output"]} | ({"label": batch["label"]} if "label" in batch else {})
        losses = {**output.losses, **self.discriminator.step(judged, micro_batches=self.micro_batches).losses}
        return StepOutput(losses, output.images)

    def generate(self, network: Generator, batch: Mapping[str, Tensor]) -> Tensor:
        """The pictures of a batch's noise, (B, C, S, S) float32."""
        with self.runtime.autocast():
            pictures: Tensor = network.synthesise(self._styles(network, batch), batch.get("pixel_noise"))
        return pictures.float()

    def diagnostics(self, step: int) -> Sequence[Diagnosis]:
        """Report the failure modes that showed at `step` and were not reported before."""
        return self.monitor.diagnose(step, self._measures)

    def passed_check(self, step: int) -> bool:
        """Whether a check at `step` found no collapse, or none is rolled back."""
        return self.monitor.passed_check(step)

    def scale_learning_rate(self) -> None:
        """Halve every learning rate after a rollback.

        Raises:
            ValueError: it was halved too often to help.
        """
        self.monitor.scale_learning_rate(self.train_states().values())

    @torch.no_grad()
    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Generate with the averaged network: beside a batch's real pictures, or in columns where it has none."""
        batch = self._to_device(batch)
        pictures = self.generate(self._average, batch)
        if "real" in batch:
            return {"generated": pictures, "target": batch["real"]}
        return {str(column + 1): pictures[column::COLUMNS] for column in range(min(COLUMNS, len(pictures)))}

    def networks(self) -> dict[str, nn.Module]:
        """Return the averaged generator, which is published."""
        return {"generator": self.generator.average}

    def train_states(self) -> dict[str, TrainState]:
        """Return the generator's and the discriminator's state."""
        return {"generator": self.generator, "discriminator": self.discriminator.state}

    def state_dict(self) -> StateDict:
        """Return everything that the next step depends on."""
        return {
            "generator": self.generator.state_dict(), "discriminator": self.discriminator.state_dict(),
            "monitor": self.monitor.state_dict(), "mean path length": self.mean_path_length.cpu(),
        }  # fmt: skip

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.monitor.load_state_dict(state["monitor"])
        self.mean_path_length = state["mean path length"].to(self.runtime.device)

    @property
    def _network(self) -> Generator:
        return self.generator.network  # type: ignore[return-value]  # a TrainState keeps the class of its network

    @property
    def _average(self) -> Generator:
        return self.generator.average  # type: ignore[return-value]  # as above

    def _to_device(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.runtime.device, non_blocking=True) for name, tensor in batch.items()}

    def _styles(self, network: Generator, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, layers, W); from the crossover on those of the second latent vector (Karras et al. 2019, section 3.1)."""
        styles = network.styles(batch["latent"], batch.get("label"))
        if "mixed" not in batch:
            return styles
        layers = torch.arange(styles.shape[1], device=styles.device)
        return torch.where((layers < batch["crossover"][:, None])[:, :, None], styles, network.styles(batch["mixed"], batch.get("label")))

    def _update_generator(self, batch: Mapping[str, Tensor]) -> StepOutput:
        outputs, losses, lengths = [], [], list[Tensor]()
        for part in split(batch, self.micro_batches):
            fake = self.generate(self._network, part)
            terms = {"adversarial": self.discriminator.generator_loss(part["real"], fake, part.get("label"))}
            self.generator.accumulate(terms["adversarial"] / self.micro_batches)
            if self.losses.path_length and self.generator.steps % self.losses.path_every == 0:
                lengths.append(self._path_lengths(part))
                terms["path length"] = self.losses.path_length * (lengths[-1] - self.mean_path_length).square().mean()
                self.generator.accumulate(terms["path length"] * self.losses.path_every / self.micro_batches)
            outputs.append(fake.detach())
            losses.append(terms)
        self.generator.optimizer_step()
        if lengths:
            self._update_path_length(torch.cat(lengths).detach().mean())
        return StepOutput(mean(losses), {"output": torch.cat(outputs)})

    def _path_lengths(self, part: Mapping[str, Tensor]) -> Tensor:
        """|J_w^T y| of each picture, (B) in float32.

        Their penalty is E (|J_w^T y| - a)^2 with a the mean length of the steps so far (Karras et al. 2020, eq. 4).
        """
        with torch.autocast(self.runtime.device.type, enabled=False):
            styles = self._styles(self._network, part)
            pictures = self._network.synthesise(styles, part.get("pixel_noise"))
            return penalties.path_lengths(pictures, styles, torch.randn_like(pictures))

    def _update_path_length(self, length: Tensor) -> None:
        """Take the mean length of all pictures of a step."""
        distributed.current().average([length])
        self.mean_path_length = torch.lerp(self.mean_path_length, length, PATH_DECAY)

    def _measures(self) -> dict[str, float]:
        return monitor.measures(
            self.generator, self.discriminator, self.probe, lambda probe: (self.generate(self._network, probe), probe["real"])
        )
