"""The trainer of two directions."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from restore.gan.core import GAME
from restore.gan.losses import excess
from restore.gan.opponent import OpponentConfig
from torch import Tensor

from restore.gan import opponent as opponents
from restore.gan.unpaired import CycleConfig, CycleTrainer, Direction
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.runtime import Runtime

BF16 = Runtime(torch.device("cpu"), torch.bfloat16)


def _trainer(runtime: Runtime, seed: int = 0, config: CycleConfig | None = None, **opponent: object) -> CycleTrainer:
    torch.manual_seed(seed)
    config = config or CycleConfig(pool=3)
    ways = [
        Direction(
            ResnetGenerator(ResnetConfig(width=4, blocks=1)),
            opponents.build(3, OpponentConfig(width=4, **opponent), runtime),  # type: ignore[arg-type]
            GAME, runtime, pool=config.pool, seed=index,
        )
        for index in range(2)
    ]  # fmt: skip
    return CycleTrainer(ways[0], ways[1], config, runtime)


def _batch(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(1, 3, 32, 32, generator=generator) for name in ("source", "target")}


@pytest.mark.parametrize("runtime", [Runtime(torch.device("cpu"), torch.float32), BF16], ids=["fp32", "bf16"])
def test_two_steps_move_everybody(runtime: Runtime) -> None:
    trainer = _trainer(runtime)
    before = copy.deepcopy(trainer.state_dict())
    for seed in range(2):
        losses = trainer.step(_batch(seed))
    assert {"forward cycle", "backward identity", "forward adversarial", "backward discriminator"} <= losses.keys()
    assert all(value.isfinite() for value in losses.values())
    for name, player in trainer.players().items():
        way, role = name.split()
        state = before[way]["generator" if role == "generator" else "opponent"]
        state = state if role == "generator" else state["player"]
        for key, value in player.network.state_dict().items():
            assert not torch.equal(value, state["network"][key]), (name, key)


def test_noise_on_the_way_back_drowns_what_is_hidden(fp32: Runtime) -> None:
    trainer = _trainer(fp32, config=CycleConfig(pool=3, cycle_noise=0.1))
    backward, seen = trainer.backward.translate, []

    def spy(pictures: Tensor) -> Tensor:
        seen.append(pictures.detach())
        return backward(pictures)

    trainer.backward.translate = spy  # type: ignore[method-assign]
    made = trainer.forward.translate(_batch()["source"]).detach()
    judged: list[Tensor] = []
    verdict = trainer.forward.opponent.verdict
    trainer.forward.opponent.verdict = lambda real, made: judged.append(made) or verdict(real, made)  # type: ignore[func-returns-value]
    trainer.step(_batch())
    assert float((seen[0] - made).std()) == pytest.approx(0.1, rel=0.1)
    torch.testing.assert_close(judged[0], made)  # the opponent sees it without
    with pytest.raises(ValueError, match="negative"):
        CycleConfig(cycle_noise=-0.1)


def test_a_change_is_free_until_it_exceeds(fp32: Runtime) -> None:
    source = torch.full((1, 3, 8, 8), 0.5)
    assert float(excess(torch.sigmoid(torch.tensor(0.9)).expand_as(source), source, 1.0)) == 0
    dark = 1 / 255 + (1 - 2 / 255) / (1 + math.exp(3))
    wanted = (math.log((1 - dark) / dark) - 1) ** 2
    assert float(excess(torch.sigmoid(torch.tensor(-3.0)).expand_as(source), source, 1.0)) == pytest.approx(wanted, rel=1e-4)
    made = torch.ones_like(source, requires_grad=True)  # white has a logit without end, and yet there must be a way back from it
    (gradient,) = torch.autograd.grad(excess(made, source, 1.0), made)
    assert gradient.isfinite().all() and bool((gradient > 0).all())
    assert float(excess(torch.tensor([[[[1.5, -0.5]]]]), torch.tensor([[[[1.0, 0.0]]]]), 1.0)) == 0

    batch = _batch()
    losses = _trainer(fp32, config=CycleConfig(pool=0, excess_weight=2.0, excess_from=0.25)).step(batch)
    made = _trainer(fp32, config=CycleConfig(pool=0)).forward.translate(batch["source"]).detach()
    assert float(losses["forward excess"]) == pytest.approx(2 * float(excess(made, batch["source"], 0.25)), rel=1e-4)
    assert not [name for name in _trainer(fp32, config=CycleConfig(pool=0)).step(batch) if "excess" in name]
    with pytest.raises(ValueError, match="no change"):
        CycleConfig(excess_from=-1.0)


def test_the_common_gradient_is_that_of_the_whole_sum(fp32: Runtime) -> None:
    trainer = _trainer(fp32, config=CycleConfig(pool=0))
    batch = _batch()
    whole = torch.zeros(())
    for way, back, own, other in (
        (trainer.forward, trainer.backward, batch["source"], batch["target"]),
        (trainer.backward, trainer.forward, batch["target"], batch["source"]),
    ):
        made = way.translate(own)
        whole = whole + 10 * (back.translate(made) - own).abs().mean() + 5 * (way.translate(other) - other).abs().mean()
        whole = whole + way.opponent.verdict(other, made)
    wanted = torch.autograd.grad(whole, [*trainer.forward.generator.network.parameters()])
    gathered: list[Tensor] = []
    move = trainer.forward.generator.move

    def spy() -> None:
        gathered.extend(p.grad.clone() for p in trainer.forward.generator.network.parameters() if p.grad is not None)
        move()

    trainer.forward.generator.move = spy  # type: ignore[method-assign]
    trainer.step(batch)
    for one, other in zip(gathered, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_terms_of_weight_zero_are_left_out(fp32: Runtime) -> None:
    losses = _trainer(fp32, config=CycleConfig(identity_weight=0.0, pool=0)).step(_batch())
    assert not [name for name in losses if "identity" in name]


def test_straight_is_half_and_resumed(fp32: Runtime) -> None:
    options = {"label_noise": 0.3, "r1": 0.1, "label_smoothing": 0.1}
    straight, resumed, first = (_trainer(fp32, seed, **options) for seed in (0, 1, 0))
    torch.manual_seed(7)
    for step in range(4):
        straight.step(_batch(step))
    torch.manual_seed(7)
    for step in range(2):
        first.step(_batch(step))
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in range(2, 4):
        resumed.step(_batch(step))
    for name, player in straight.players().items():
        for key, value in player.network.state_dict().items():
            assert torch.equal(value, resumed.players()[name].network.state_dict()[key]), (name, key)
    for kept, again in zip(straight.forward.pool.kept, resumed.forward.pool.kept, strict=True):
        assert torch.equal(kept, again)


def test_previews_show_both_ways(fp32: Runtime) -> None:
    shown = _trainer(fp32).preview(_batch())
    assert list(shown) == ["source", "translated", "cycled", "target", "translated back", "cycled back"]
    assert all(value.shape == (1, 3, 32, 32) and value.dtype == torch.float32 for value in shown.values())


def test_impossible_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        CycleConfig(cycle_weight=-1)
