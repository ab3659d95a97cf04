"""`Opponent`: a discriminator that learns, with its objective, its handicaps and its penalties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore import processes
from restore.gan import objectives, penalties
from restore.gan.augment import Augmentation
from restore.gan.core import GAME, OptimizerConfig, Player, evaluating, frozen, mean, split
from restore.gan.losses import mean_distance
from restore.gan.replayed import Replayed
from restore.networks import discriminators, planning
from restore.networks.discriminators import Discriminator
from restore.runtime import Runtime

PLACE_BY_PLACE = tuple(name for name, kind in discriminators.DISCRIMINATORS.items() if kind.local)


@dataclass(frozen=True)
class OpponentConfig:
    """The discriminator and how it plays."""

    network: str = field(default="patchgan", metadata={"help": "a key of restore.networks.discriminators.DISCRIMINATORS"})
    width: int = field(default=64, metadata={"help": "channels of its first layer", "range": (1, 4096)})
    norm: Literal["instance", "batch", "none"] = field(
        default="instance", metadata={"help": "patchgan and multiscale: instance, batch or none"}
    )
    spectral: bool = field(default=False, metadata={"help": "patchgan and multiscale: spectral normalisation"})
    objective: str = field(
        default="least_squares",
        metadata={"help": "vanilla, least_squares, hinge, wasserstein or relativistic"},
    )
    within: bool = field(
        default=False, metadata={"help": "inpainting: it judges the holes alone; patchgan, unet and projected, which answer place by place"}
    )
    label_smoothing: float = field(default=0.0, metadata={"help": "real pictures are called 1 less this", "range": (0, 1)})
    label_noise: float = field(default=0.0, metadata={"help": "share of the pairs whose labels are exchanged", "range": (0, 1)})
    gradient_penalty: float = field(default=0.0, metadata={"help": "weight of (slope - 1)^2 (10 for wasserstein)", "range": (0, 1e6)})
    r1: float = field(
        default=0.0, metadata={"help": "weight of the squared slope of a picture's answers, those to real ones, halved", "range": (0, 1e6)}
    )
    penalty_every: int = field(
        default=1,
        metadata={
            "help": "steps between two penalties, each then counted as often (Karras et al. 2020, section 3.1)",
            "range": (1, 1_000_000),
        },
    )
    steps: int = field(default=1, metadata={"help": "its updates for one of the generator (5 for wasserstein)", "range": (1, 1000)})
    augment: float = field(
        default=0.0, metadata={"help": "chance of each augmentation of what it sees; for small data sets", "range": (0, 1)}
    )
    adaptive: float = field(
        default=0.0,
        metadata={"help": "above 0: the chance adapts until this share more real pictures are known than not (0.6: ADA)", "range": (0, 1)},
    )
    optimizer: OptimizerConfig = field(default=GAME)

    def __post_init__(self) -> None:
        objectives.find(self.objective, target=1 - self.label_smoothing)
        for name in ("gradient_penalty", "r1"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        for name in ("label_noise", "augment", "adaptive"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, not {getattr(self, name)}")
        if self.within and self.network not in PLACE_BY_PLACE:
            raise ValueError(f"within needs a discriminator that answers place by place: {', '.join(PLACE_BY_PLACE)}, not {self.network!r}")
        if self.within and (self.augment or self.adaptive):
            raise ValueError("within and augmentation, which moves the holes, do not go together")
        if min(self.steps, self.penalty_every, self.width) < 1:
            raise ValueError("steps, penalty_every and width must be at least 1")


class Opponent:
    """Learns to tell real pictures from made ones, and gives the generator its loss.

    Args:
        network: pictures (B, C, H, W) in nominal [0, 1] -> logits; with a condition, both concatenated.
        config: how it plays.
        runtime: device and precision.

    Attributes:
        player: the discriminator.
        told: what the last `learn` saw: mean logits of real and of made pictures, the share of each that it knew, and the mean sign
            of its answers to real ones.
    """

    def __init__(self, network: nn.Module, config: OpponentConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        # compiled networks know no gradients of gradients
        plain = replace(runtime, compile=runtime.compile and not (config.gradient_penalty or config.r1))
        self.player = Player(network, config.optimizer, plain)
        self.objective = objectives.find(config.objective, target=1 - config.label_smoothing)
        self.augmentation = Augmentation(config.augment, target=config.adaptive)
        self.told: dict[str, Tensor] = {}
        self._lesson = Replayed(self._learn, [self.player], runtime, steady=lambda: self.learns_alike)

    @property
    def judges_alike(self) -> bool:
        """Whether `verdict` is the same kernels every time: nothing that it looks at is drawn or chosen on the CPU."""
        return not (self.augmentation.chance or self.augmentation.target or self.config.within)

    @property
    def learns_alike(self) -> bool:
        """The same of `learn`."""
        return self.judges_alike and not (self.config.label_noise or self.config.gradient_penalty or self.config.r1)

    def learn(
        self, real: Tensor, made: Tensor, condition: Tensor | None = None, *, where: Tensor | None = None, parts: int = 1
    ) -> dict[str, Tensor]:
        """One update on real and made pictures, both (B, C, H, W); returns its losses.

        Args:
            where: (B, 1, H, W), 1 where something was made, for an opponent that looks `within`. Elsewhere the two are alike, and
                answers there would only teach it to say nothing (Suvorov et al. 2022, LaMa, section 2.3.2).
            parts: how many parts of the batch go through the network, one after the other; see `core.split`.
        """
        extra = {name: tensor for name, tensor in (("condition", condition), ("where", where)) if tensor is not None}
        return self._lesson({"real": real, "made": made} | extra, parts)

    def verdict(
        self, real: Tensor | None, made: Tensor, condition: Tensor | None = None, *, where: Tensor | None = None
    ) -> Tensor:
        """The generator's loss. `real` is looked at by relativistic objectives only; no gradient reaches the discriminator.

        Args:
            where: see `learn`.
        """
        with frozen(self.player.network), self.runtime.autocast():
            answer = self._answers(made, condition)
            others = answer.detach()
            if self.objective.relative:
                if real is None:
                    raise ValueError("a relativistic objective needs real pictures beside the made ones")
                others = self._answers(real.detach(), condition).detach()
        chosen = self._chosen(answer, where)
        return self.objective.generator(_of(others, chosen), _of(answer, chosen))

    def matching(self, real: Tensor, made: Tensor, condition: Tensor | None = None) -> Tensor:
        """The mean L1 distance of the discriminator's own features of real and made pictures, layer by layer.

        Wang et al. 2018, "pix2pixHD", eq. 4; the features are those behind every leaky rectifier that is a layer of its own. Without
        augmentation, which would move the two apart. No gradient reaches the discriminator.

        Raises:
            ValueError: the discriminator has no such layers.
        """
        kept: list[Tensor] = []
        layers = [module for module in self.player.network.modules() if isinstance(module, nn.LeakyReLU)]
        if not layers:
            raise ValueError("this discriminator shows no features: take patchgan or multiscale, or set matching_weight to 0")
        hooks = [layer.register_forward_hook(lambda module, inputs, output: kept.append(output)) for layer in layers]
        try:
            with frozen(self.player.network), self.runtime.autocast():
                pictures = torch.cat([real.detach(), made])
                self.player.network(pictures if condition is None else torch.cat([condition.repeat(2, 1, 1, 1), pictures], 1))
        finally:
            for hook in hooks:
                hook.remove()
        halves = [features.chunk(2) for features in kept]
        return torch.stack([mean_distance(made, known.detach()) for known, made in halves]).mean()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on."""
        return {"player": self.player.state_dict(), "augmentation": self.augmentation.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.player.load_state_dict(state["player"])
        self.augmentation.load_state_dict(state["augmentation"])
        self._lesson.forget()

    def _learn(self, batch: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
        """`learn`, of its arguments by name."""
        told = []
        for share in split(batch, parts):
            told.append(self._study(share["real"].detach(), share["made"].detach(), share.get("condition"), share.get("where"), 1 / parts))
        self.player.follow()
        return mean(told)

    def _answers(self, pictures: Tensor, condition: Tensor | None) -> Tensor:
        answers: Tensor = self.player.network(self.augmentation(pictures, condition))
        return answers

    def _chosen(self, answers: Tensor, where: Tensor | None) -> Tensor | None:
        """Which answers of maps (B, K, h, w) count: those whose place holds something made; None for all.

        A projected discriminator looks at the pictures shifted by up to seven pixels: at an edge its places are off by as much.
        """
        if not self.config.within:
            return None
        if where is None:
            raise ValueError("an opponent that looks within has no holes to judge: tell it where something was made")
        return (F.adaptive_max_pool2d(where.float(), answers.shape[-2:]) > 0).expand_as(answers)

    def _study(
        self, real: Tensor, made: Tensor, condition: Tensor | None, where: Tensor | None, share: float
    ) -> dict[str, Tensor]:
        """Gather the gradient of one part of a batch, which is `share` of the whole; returns its losses."""
        losses: dict[str, Tensor] = {}
        with self.runtime.autocast():
            answers = [self._answers(x, condition) for x in (real, made)]
        first, second = objectives.exchange(answers[0], answers[1], self.config.label_noise)
        chosen = self._chosen(first, where)
        losses["discriminator"] = self.objective.discriminator(_of(first, chosen), _of(second, chosen), 1 - self.config.label_smoothing)
        self.player.gather(share * losses["discriminator"])
        if self.player.steps % self.config.penalty_every == 0:
            losses |= self._penalties(real, made, condition, share)
        self._note(answers[0], answers[1], chosen)
        return {name: loss.detach() for name, loss in losses.items()}

    def _penalties(self, real: Tensor, made: Tensor, condition: Tensor | None, share: float) -> dict[str, Tensor]:
        losses = {}

        def answers(pictures: Tensor) -> Tensor:
            plain = pictures if condition is None else torch.cat([condition.float(), pictures], 1)
            slope_of: Tensor = self.player.network(plain)
            return slope_of

        if self.config.gradient_penalty:
            losses["gradient penalty"] = self.config.gradient_penalty * penalties.gradient_penalty(answers, real, made)
        if self.config.r1:
            losses["r1"] = self.config.r1 * penalties.r1(answers, real)
        for loss in losses.values():
            self.player.gather(share * loss * self.config.penalty_every)
        return losses

    @torch.no_grad()
    def _note(self, real: Tensor, made: Tensor, chosen: Tensor | None) -> None:
        real, made = (_means(answers.float(), chosen) for answers in (real, made))
        middle: float | Tensor = 0.5 if self.config.objective == "least_squares" else 0.0
        if self.objective.relative or self.config.objective == "wasserstein":
            middle = (real.mean() + made.mean()) / 2
        self.told = {
            "real": real.mean(), "made": made.mean(), "overfitting": (real - middle).sign().mean(),
            "knew real": (real > middle).float().mean(), "knew made": (made < middle).float().mean(),
        }  # fmt: skip
        processes.current().average(list(self.told.values()))
        self.augmentation.adapt(self.told["overfitting"])


def _of(answers: Tensor, chosen: Tensor | None) -> Tensor:
    return answers if chosen is None else answers[chosen]


def _means(answers: Tensor, chosen: Tensor | None) -> Tensor:
    """The mean answer of each sample, (B, ...) -> (B), over the chosen places where some are."""
    if chosen is None:
        return answers.flatten(1).mean(1)
    return (answers * chosen).flatten(1).sum(1) / chosen.flatten(1).sum(1).clamp(min=1)


def build(channels: int, config: OpponentConfig, runtime: Runtime, *, side: int | None = None, holes: bool = False) -> Opponent:
    """An opponent for pictures (with their condition) of so many channels.

    Args:
        side: of the crops that it will see, in pixels.
        holes: whether `learn` and `verdict` will be told where they are.

    Raises:
        ValueError: an unknown discriminator or norm, one that looks within where there are no holes, or crops too small for it.
    """
    if config.within and not holes:
        raise ValueError("opponent.within is for inpainting, where there are holes to judge: set it to false")
    kind = discriminators.find(config.network)
    settings: dict[str, Any] = {"channels": channels, **{key: vars(config)[key] for key in kind.settings}}
    if kind.pretrained:  # its backbone comes from a file, which is read once; crops as large as this are large enough for it
        network = discriminators.build(config.network, **settings)
        trial, side = network, min(side or LARGEST_TRIAL, LARGEST_TRIAL)
    else:
        trial = planning.plan(lambda: discriminators.build(config.network, **settings))
        count = planning.parameters(trial)
        planning.check_memory(COPIES * count, f"the opponent has {count} parameters: lower opponent.width")
        network = discriminators.build(config.network, **settings)
    if side is not None:
        _try(config.network, trial, channels, side)
    return Opponent(network, config, runtime)


def _try(name: str, network: Discriminator, channels: int, side: int) -> None:
    """See to it that a discriminator can judge crops of that side; on the `meta` device that takes no memory.

    Raises:
        ValueError: it cannot.
    """
    device = next(network.parameters()).device
    try:
        with torch.no_grad(), evaluating(network):
            network(torch.zeros(1, channels, *[side - network.shift] * 2, device=device))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"opponent.network={name} cannot judge crops of {side} x {side} pixels: make data.crop larger ({error})"
        ) from error


COPIES = 5
"""A network that learns is kept with its gradients, its average and an optimizer's two moments."""
LARGEST_TRIAL = 512
