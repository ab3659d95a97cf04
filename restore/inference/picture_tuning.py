"""Fine-tunes a denoising network on the one noisy picture that it is to restore, and asks without a clean picture whether that helps.

Lee et al. 2020, "Restore from restored: single image denoising with pseudo clean image" (arXiv 2003.04721): a result is taken for clean,
noise of the picture's level is added to crops of it, and the network learns to remove it. So it learns what recurs in this picture. Here
that result is blended with the non-local estimate, whose regular texture the network learns too.

The tuned weights are drawn back to the given ones by the weight that Stein's unbiased risk estimate finds best (`blend_weight`); between
weights so near, outputs lie nearly on a line. Everything random follows from SEED. A convolution's gradients depend on the number of
threads in their last bits, so each crop has one thread of its own, and the result is the same on machines with more of them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from restore import runtime
from restore.images.noise_model import NoiseLevel
from restore.inference import engines, nonlocal_blend, sure
from restore.inference.blend_weight import CELL, Pair, Prior, Weight, measured_weight
from restore.inference.loading import InferenceOptions, make_runner
from restore.inference.normalizing_runner import NormalizingRunner
from restore.inference.ranges import Range
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

STEPS, BATCH, CROP = 60, 2, 64
"""Steps, crops in each of them, and their side in pixels."""
RATE, WARMUP, AVERAGE = 3e-4, 10, 0.93
"""Adam's rate, the steps in which it rises, and the decay of the averaged weights, which are the result."""
USUAL = Prior(0.7, 0.3, optimism=0.2)
"""The best weights of pictures. The tuned weights have seen the picture's noise through their target, which the probe does not see."""
LEAST_SIDE = 3 * CELL // 2 + 1
"""Smaller pictures have too few cells to tell how sure the risk estimate is."""
LEAST = 0.05
"""A smaller weight is not worth another network."""
SEED = 0

Example = tuple[Tensor, Tensor, Tensor]
"""A noisy crop, the map of its noise, and the crop without the added noise, (1, C, S, S)."""


@dataclass(frozen=True)
class Tuned:
    """A network that was fine-tuned on a picture, ready to run.

    Attributes:
        runner: with the self-ensemble of the options.
        single: the same in float32, without a self-ensemble.
        weight: how far its weights are from the given ones to the tuned ones, LEAST..1.
    """

    runner: NormalizingRunner
    single: NormalizingRunner
    weight: float


@dataclass(frozen=True)
class PseudoClean:
    """Results of regions of a picture, which examples are made of.

    Attributes:
        regions: (H, W, C) float32 each, no side shorter than CROP.
        level: the noise that the picture has.
        span: the network's range.
    """

    regions: Sequence[np.ndarray]
    level: NoiseLevel
    span: Range

    def example(self, rng: np.random.Generator) -> Example:
        """A crop with new noise, rotated and flipped."""
        region = self.regions[int(rng.integers(len(self.regions)))]
        top, left = (int(rng.integers(length - CROP + 1)) for length in region.shape[:2])
        clean = np.rot90(region[top : top + CROP, left : left + CROP], int(rng.integers(4)))
        clean = clean[:, ::-1] if rng.random() < 0.5 else clean
        deviation = np.sqrt(self.level.variance(clean)).astype(np.float32)
        noisy = np.ascontiguousarray(clean + deviation * rng.standard_normal(clean.shape, np.float32))
        noise_map = self.level.map(noisy) / np.float32(self.span.span)
        return _tensor(self.span.normalize(noisy)), _tensor(noise_map), _tensor(self.span.normalize(clean))


@dataclass
class Learner:
    """A copy of a network that learns, and the average of its weights.

    Attributes:
        network: is changed.
        average: the same at the start.
        steps: done so far.
    """

    network: RestorationNetwork
    average: RestorationNetwork
    steps: int = 0
    _optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.network.requires_grad_(True)
        self._optimizer = torch.optim.Adam(self.network.parameters(), RATE)

    def gradients(self, example: Example) -> tuple[Tensor, ...]:
        """The gradients of the squared error of one example."""
        noisy, noise_map, clean = (one.to(next(self.network.parameters()).device) for one in example)
        with torch.enable_grad():
            error = (noisy + self.network(noisy, noise_map) - clean).square().mean()
            return torch.autograd.grad(error, list(self.network.parameters()))

    def update(self, gradients: Sequence[tuple[Tensor, ...]]) -> None:
        """Take a step by the mean of the examples' gradients."""
        self.steps += 1
        for group in self._optimizer.param_groups:
            group["lr"] = RATE * min(1, self.steps / WARMUP)
        for parameter, parts in zip(self.network.parameters(), zip(*gradients, strict=True), strict=True):
            parameter.grad = torch.stack(parts).mean(0)
        self._optimizer.step()
        decay = min(AVERAGE, self.steps / (9 + self.steps))  # a young average follows faster
        _interpolate(self.average, self.network, 1 - decay)


@dataclass(frozen=True)
class Exact:
    """A network in float32, ready to run.

    Attributes:
        network: the network.
        once: runs it once.
        averaged: runs it with a self-ensemble.
    """

    network: RestorationNetwork
    once: NormalizingRunner
    averaged: NormalizingRunner

    def results(self, picture: np.ndarray, level: NoiseLevel) -> list[np.ndarray]:
        """The results of regions of a picture, blended with the non-local estimate."""
        results = []
        for region in sure.regions(*picture.shape[:2]):
            part = np.ascontiguousarray(picture[region])
            result, _ = self.averaged.run(part, level=level)
            blended, _ = nonlocal_blend.blended(
                part, result, level, lambda one: self.once.run(one, level=level)[0], self.once.runtime.device
            )
            results.append(blended)
        return results

    def weight(self, other: Exact, picture: np.ndarray, level: NoiseLevel) -> Weight:
        """How far to go to another network; the probe is not one that anything was trained with."""

        def pair(mine: NormalizingRunner, theirs: NormalizingRunner) -> Pair:
            def results(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                before = mine.run(part, level=level)[0]
                return before, theirs.run(part, level=level)[0].astype(np.float64) - before

            return results

        several = len(self.averaged.runner.transforms) > 1
        averaged = pair(self.averaged, other.averaged) if several else None
        return measured_weight(picture, level, pair(self.once, other.once), USUAL, averaged=averaged, seed=SEED + 1)


class PictureTuner:
    """Fine-tunes copies of a network. The network itself never changes, so threads may share a tuner.

    Args:
        network: takes noise as its condition.
        options: those of the tuned networks. They run in torch: another engine would take longer to build than to run.
    """

    def __init__(self, network: RestorationNetwork, options: InferenceOptions) -> None:
        self._options = replace(options, engine=engines.TORCH)
        self._once = InferenceOptions(options.runtime.in_precision("fp32"), tile=0)  # tiles must not change the weights
        self._given = self._exact(copy.deepcopy(network).float().eval().requires_grad_(False))

    def __call__(self, picture: np.ndarray, level: NoiseLevel) -> Tuned | None:
        """Fine-tune on a picture.

        Args:
            picture: (H, W, C) float32.
            level: its noise; white.

        Returns:
            The tuned network. None where the risk estimate is not sure that it helps (by one standard error), for pictures that are
            smaller than LEAST_SIDE, without noise, or with other channels than the network's, and for networks that cannot be trained.
        """
        network = self._given.network
        small, other = min(picture.shape[:2]) < LEAST_SIDE, picture.shape[2] != network.spec.channels
        if small or other or not level.sigma() > 0 or not network.trainable:
            return None
        examples = PseudoClean(self._given.results(picture, level), level, self._given.once.range_of(picture, level))
        tuned = trained(network, examples, self._once.runtime)
        weight = self._given.weight(self._exact(tuned), picture, level)
        if weight.value < LEAST or weight.measured - USUAL.optimism < weight.deviation:
            return None
        result = copy.deepcopy(network)
        _interpolate(result, tuned, weight.value)
        single = replace(self._options, runtime=self._once.runtime, ensemble=1)
        return Tuned(make_runner(result, self._options), make_runner(result, single), weight.value)

    def _exact(self, network: RestorationNetwork) -> Exact:
        averaged = replace(self._once, ensemble=self._options.ensemble)
        return Exact(network, make_runner(network, self._once), make_runner(network, averaged))


def trained(network: RestorationNetwork, examples: PseudoClean, where: Runtime) -> RestorationNetwork:
    """A copy of a network after STEPS steps: the average of its weights, on the CPU."""
    rng = np.random.default_rng(SEED)
    start = copy.deepcopy(network).to(where.device)
    learner = Learner(start, copy.deepcopy(start))
    with runtime.reproducible(), ThreadPoolExecutor(BATCH) as threads:
        for _ in range(STEPS):
            learner.update(list(threads.map(learner.gradients, [examples.example(rng) for _ in range(BATCH)])))
    return learner.average.cpu()


@torch.no_grad()
def _interpolate(network: RestorationNetwork, other: RestorationNetwork, weight: float) -> None:
    """Move a network's weights towards those of another one."""
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        mine.lerp_(theirs.to(mine.device), weight)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
