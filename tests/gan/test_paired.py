"""The paired adversarial trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from restore.gan import build
from restore.gan.discriminator_trainer import DiscriminatorConfig
from restore.gan.paired import LossConfig, PairedAdversarialTrainer
from restore.runtime import Runtime
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import SupervisedTrainer

Make = Callable[..., torch.nn.Module]
PLAIN = OptimizerConfig("adam", 1e-3, warmup_steps=0)


@pytest.mark.parametrize("conditional", [False, True])
def test_micro_batches_give_the_gradients_of_the_whole_batch(tiny: Make, fp32: Runtime, conditional: bool) -> None:
    after = []
    for count in (1, 2):
        torch.manual_seed(0)
        discriminator = build.discriminator_trainer(2 if conditional else 1, DiscriminatorConfig(width=4, optimizer=PLAIN), fp32)
        trainer = PairedAdversarialTrainer(
            tiny(),
            discriminator,
            PLAIN,
            fp32,
            losses=LossConfig(adversarial_weight=0.1),
            conditional=conditional,
            micro_batches=count,
        )
        generator = torch.Generator().manual_seed(1)
        batch = {name: torch.rand(4, 1, 32, 32, generator=generator) for name in ("input", "target", "noise")}
        losses = trainer.step(batch).losses
        after.append([losses["discriminator"], trainer.generator.gradient_norm, discriminator.state.gradient_norm])
    assert [float(x) for x in after[1]] == pytest.approx([float(x) for x in after[0]], rel=1e-4)


def test_a_state_with_a_discriminator_and_one_without_do_not_mix(tiny: Make, fp32: Runtime) -> None:
    discriminator = build.discriminator_trainer(1, DiscriminatorConfig(width=4), fp32)
    adversarial = PairedAdversarialTrainer(tiny(), discriminator, PLAIN, fp32, losses=LossConfig(adversarial_weight=0.1))
    supervised = SupervisedTrainer(tiny(), PLAIN, fp32)
    with pytest.raises(ValueError, match="without a discriminator"):
        adversarial.load_state_dict(copy.deepcopy(supervised.state_dict()))
    with pytest.raises(ValueError, match="with a discriminator"):
        supervised.load_state_dict(copy.deepcopy(adversarial.state_dict()))


def test_a_discriminator_needs_a_weight(tiny: Make, fp32: Runtime) -> None:
    discriminator = build.discriminator_trainer(1, DiscriminatorConfig(width=4), fp32)
    with pytest.raises(ValueError, match="adversarial_weight"):
        PairedAdversarialTrainer(tiny(), discriminator, PLAIN, fp32, losses=LossConfig())


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        ({"pixel_weight": -1.0}, "pixel_weight"),
        ({"pixel_weight": 0.0}, "at least one"),
        ({"feature_matching_weight": 1.0}, "adversarial_weight"),
    ],
)
def test_impossible_weights_are_refused(weights: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        LossConfig(**weights)  # type: ignore[arg-type]
