"""The supervised trainer: one network on pairs of input and target, without a discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from restore.networks import ModelSpec, RestorationNetwork
from restore.networks.resample import enlarge
from restore.networks.spec import Condition
from restore.runtime import Runtime
from restore.training.cuda_graph import CUDAGraphStep
from restore.training.distillation import FEATURES, FeatureDistillation
from restore.training.divergence import DivergenceMonitor
from restore.training.losses import ReconstructionLoss
from restore.training.micro_batches import mean, split
from restore.training.optimizers import OptimizerConfig
from restore.training.train_state import StateDict, TrainState
from restore.training.trainer import Diagnosis, StepOutput

CONDITIONS = get_args(Condition)
"""Maps (B, 1, S, S) that a batch may hold in addition to its input."""


def predict(network: nn.Module, spec: ModelSpec, batch: Mapping[str, Tensor], runtime: Runtime) -> Tensor:
    """Return input + network(input[, conditions]), (B, C, S, S) float32; the correction is added in float32.

    Where the network upscales, its correction is added to the input as `resample.enlarge` enlarges it.
    """
    inputs = [batch[name] for name in ("input", *spec.conditions)]
    with runtime.autocast():
        correction: Tensor = network(*inputs)
    return enlarge(inputs[0], spec.scale) + correction.float()


def predict_described(network: RestorationNetwork, batch: Mapping[str, Tensor], runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Return what `predict` does for a network without conditions and scale, and the features that it predicts."""
    with runtime.autocast():
        correction, features = network.described(batch["input"])
    return batch["input"] + correction.float(), features


def to_device(batch: Mapping[str, Tensor], runtime: Runtime) -> dict[str, Tensor]:
    """Move the tensors that paired trainers use to the device."""
    names = ("input", "target", *CONDITIONS)
    return {name: batch[name].to(runtime.device, non_blocking=True) for name in names if name in batch}


@torch.no_grad()
def preview(network: nn.Module, spec: ModelSpec, batch: Mapping[str, Tensor], runtime: Runtime) -> dict[str, Tensor]:
    """Images (B, C, H, W) by title: the input (enlarged where the network upscales), the prediction and the target."""
    batch = to_device(batch, runtime)
    return {
        "input": enlarge(batch["input"], spec.scale),
        "prediction": predict(network, spec, batch, runtime),
        "target": batch["target"],
    }


class SupervisedTrainer:
    """Trains `network` so that input + network(input[, condition]) approaches the target.

    A batch is {"input": (B, C, S, S), "target": (B, C, kS, kS)}, k = 1 unless the network upscales, and for a network with a condition
    {its name: (B, 1, S, S)}.

    Args:
        network: predicts the correction; trained in float32 with autocast in `runtime`'s precision.
        optimizer: rates, schedule and averaging.
        runtime: device and precision.
        loss: the distance of prediction and target; L1 by default.
        micro_batches: a batch goes through the network in so many equal parts.
        distillation_weight: of the distance of the features that the network predicts from AlexNet's; 0: none.

    Raises:
        ValueError: the network predicts no such features, or AlexNet's weights cannot be found.
    """

    def __init__(
        self, network: RestorationNetwork, optimizer: OptimizerConfig, runtime: Runtime, *, loss: ReconstructionLoss | None = None,
        micro_batches: int = 1, distillation_weight: float = 0.0,
    ) -> None:  # fmt: skip
        if distillation_weight and network.spec.features != FEATURES:
            raise ValueError(f"the teacher has {FEATURES} features: set network.features={FEATURES} of a colorizer")
        self.network, self.distillation_weight = network, distillation_weight
        self.distillation = FeatureDistillation().to(runtime.device) if distillation_weight else None
        self.runtime, self.micro_batches, self.spec = runtime, micro_batches, network.spec
        self.loss = loss or ReconstructionLoss(runtime)
        self.state, self.monitor = TrainState(network, optimizer, runtime), DivergenceMonitor(runtime.device)
        self._graphed_update = CUDAGraphStep(self._update, [self.state], runtime)

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Update the network once."""
        batch = to_device(batch, self.runtime)
        result = self._graphed_update(batch, self.micro_batches)
        self.monitor.update(result.images["output"], batch["target"])
        return result

    def diagnostics(self, step: int) -> Sequence[Diagnosis]:
        """Report a training that diverges."""
        return self.monitor.check(step)

    def passed_check(self, step: int) -> bool:
        """Whether the error was checked at `step` and is as low as before."""
        return self.monitor.passed == step

    def scale_learning_rate(self) -> None:
        """Halve the learning rate from now on."""
        self.state.scale_learning_rate()

    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the averaged network on a batch."""
        return preview(self.state.average, self.spec, batch, self.runtime)

    def networks(self) -> dict[str, nn.Module]:
        """Return the averaged network, which is published."""
        return {"restorer": self.state.average}

    def train_states(self) -> dict[str, TrainState]:
        """Return the one network that is trained."""
        return {"generator": self.state}

    def state_dict(self) -> StateDict:
        """Return everything that the next step depends on."""
        return {"generator": self.state.state_dict(), "monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: the state belongs to another network, or to a run with a discriminator.
        """
        if "discriminator" in state:
            raise ValueError("a run that began with a discriminator can only be resumed with one: keep its losses.adversarial_weight")
        self.state.load_state_dict(state["generator"])
        if "monitor" in state:  # checkpoints of earlier versions have none
            self.monitor.load_state_dict(state["monitor"])
        self._graphed_update.reset()

    def _update(self, batch: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        outputs, losses = [], []
        for part in split(batch, micro_batches):
            prediction, terms = self._terms(part)
            self.state.accumulate(torch.stack(list(terms.values())).sum() / micro_batches)
            outputs.append(prediction.detach())
            losses.append(terms)
        self.state.optimizer_step()
        return StepOutput(mean(losses), {"output": torch.cat(outputs)})

    def _terms(self, part: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The prediction, and the weighted losses by name."""
        if self.distillation is None:
            prediction = predict(self.state.network, self.spec, part, self.runtime)
            return prediction, self.loss.terms(prediction, part["target"])
        prediction, features = predict_described(self.network, part, self.runtime)
        terms = self.loss.terms(prediction, part["target"])
        terms["distillation"] = self.distillation_weight * self.distillation(features, part["input"])
        return prediction, terms
