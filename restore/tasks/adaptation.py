"""`restore denoise --adapt`: fine-tunes weights on the noisy pictures of a folder, and decides without clean ones whether they help.

Both the training and the decision use recorruption (see `recorrupted`), which holds for white and for correlated noise whose spectrum is
measured. The squared distance to a target with independent noise is the error plus a constant, so the difference between two networks'
distances on held-out pictures is the difference between their errors.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import default_collate

from restore import networks, weights
from restore.datasets.crops import Pictures, random_crop, to_float, to_tensor
from restore.datasets.recorrupted import PictureNoise, RecorruptedCrops, recorrupted
from restore.networks import RestorationNetwork
from restore.runtime import Runtime, seed_everything
from restore.tasks.self_supervision import FolderNoise, folder_noise
from restore.training.losses import ReconstructionLoss
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import SupervisedTrainer, predict
from restore.weights_file import Recipe

MOST = 48
"""Pictures of a folder that are used."""
HELD_OUT = 4
"""Every so many pictures one is held out."""
CROP, BATCH = 64, 4
JUDGED, JUDGED_CROP, JUDGED_FACTOR = 48, 96, 0.5
"""Held-out crops that the decision is taken on, their side, and their recorruption factor t."""
LEAST_GAIN, SURE = 0.05, 2.0
"""The adapted weights are used if their gain in dB is certainly larger, and their error smaller by so many standard errors."""
LEVEL_ERROR = 0.1
"""Relative error of an estimated noise variance that a gain must survive. Of X-rays of 50 counts 4 % more was measured, for their own
grain; that alone made weights seem 0.5 dB better than they were."""
OPTIMIZER = OptimizerConfig(name="adam", learning_rate=3e-4, warmup_steps=10, ema=0.97)
"""Adam, because the targets are noisy: the steps of Muon keep their size however noisy a gradient is."""


@dataclass(frozen=True)
class Judgement:
    """What held-out pictures say of adapted weights.

    Attributes:
        gain: in dB, estimated.
        least: the same if the noise level is wrong by LEVEL_ERROR, in the direction that is worse for the adapted weights.
        certainty: the decrease of the squared error in standard errors.
    """

    gain: float
    least: float
    certainty: float

    @property
    def helps(self) -> bool:
        """Whether the adapted weights are to be used."""
        return self.least > LEAST_GAIN and self.certainty > SURE


@dataclass(frozen=True)
class Adaptation:
    """The result of an adaptation.

    Attributes:
        entry: the adapted weights; None if the given ones are to be used.
        text: what was done and decided, one sentence.
    """

    entry: weights.Entry | None
    text: str


def adapt(entry: weights.Entry, files: Sequence[Path], runtime: Runtime, minutes: float, *, steps: int | None = None) -> Adaptation:
    """Fine-tune denoising weights on noisy pictures.

    The result is kept among the user's weights under a name that follows from the pictures and the given weights, so that the same call
    finds it again.

    Args:
        entry: the weights to start from.
        files: the pictures of a folder; MOST of them are used, evenly spread.
        runtime: device; the training runs in float32.
        minutes: how long it trains.
        steps: train so many steps instead, which is reproducible.

    Raises:
        ValueError: there is no place to keep the result.
    """
    chosen = spread(files)
    if entry.recipe["network"] not in networks.NETWORKS:
        return Adaptation(None, f"not adapted: the network of {entry.name} cannot be trained here")
    if len(chosen) < 2:
        return Adaptation(None, f"not adapted: it takes a picture to train on and another to judge by; {entry.name} has {len(chosen)} here")
    name = f"{entry.name}-adapted-{_key(entry, chosen)}"
    try:
        found = weights.find(name)
        return Adaptation(found, f"uses {name}, adapted to these pictures before: {found.recipe['adapted']['text']}")
    except ValueError:
        target = weights.unused_path(name)
    tensors, recipe = weights.load(entry.path)
    held = chosen[HELD_OUT // 2 :: HELD_OUT] if len(chosen) >= HELD_OUT else chosen[-1:]
    channels = int(recipe["settings"].get("channels", 1))
    train = Pictures([path for path in chosen if path not in held], channels, use="adaptation")
    judged = Pictures(held, channels, use="adaptation")
    given, learner = (_network(recipe, tensors) for _ in range(2))
    try:
        noise = folder_noise([to_float(one) for one in _readable(train)], given.spec)
        judges = _readable(judged)
    except ValueError as error:
        return Adaptation(None, f"not adapted: {error}")
    runtime = runtime.in_precision("fp32")
    adapted, done = _trained(learner, train, noise, runtime, minutes, steps)
    judgement = judge(given.to(runtime.device), adapted, [(one, noise(to_float(one))) for one in judges], runtime)
    text = (
        f"{done} steps on {len(train.files)} pictures: {judgement.gain:+.2f} dB on {len(judges)} held-out ones by estimate "
        f"(at least {judgement.least:+.2f}; {judgement.certainty:.1f} standard errors; noise: {noise.text})"
    )
    if not judgement.helps:
        return Adaptation(None, f"adapted weights are not used, {text}")
    weights.save(target, adapted.state_dict(), {**recipe, "adapted": {"from": entry.name, "steps": done, "text": text}})
    return Adaptation(weights.entry(target), f"adapted weights {name}, {text}; use them elsewhere by --weights {name}")


def spread(files: Sequence[Path]) -> list[Path]:
    """At most MOST of the files, evenly spread."""
    return [files[number] for number in np.unique(np.linspace(0, len(files) - 1, MOST).astype(int))] if files else []


def judge(
    given: RestorationNetwork, adapted: RestorationNetwork, pictures: Sequence[tuple[np.ndarray, PictureNoise]], runtime: Runtime
) -> Judgement:
    """Compare two networks on noisy pictures that neither was trained on.

    If the noise's variance is v and v' is measured, a distance is wrong by -2 (v - v') times the mean divergence of the network. The
    added noise measures the divergence: its product with the output is t v' times it.

    Args:
        given, adapted: denoising networks. If the adapted one seems to have no error, the noise is not what was measured (such as few
            photons, which are not Gaussian), and there is no gain to rely on.
        pictures: (H, W, C) uint8 or uint16 each, with their noise.
        runtime: device and precision.
    """
    rng = np.random.default_rng(0)
    errors, differences, divergences = [], [], []
    for number in range(JUDGED):
        picture, noise = pictures[number % len(pictures)]
        crop = (random_crop(picture, JUDGED_CROP, rng) - np.float32(noise.offset)) / np.float32(noise.span)
        inputs, target, noise_map = recorrupted(crop, noise, JUDGED_FACTOR, rng)
        batch = {"input": to_tensor(inputs)[None].to(runtime.device), "noise": to_tensor(noise_map)[None].to(runtime.device)}
        with torch.inference_mode():
            before, after = (predict(network, network.spec, batch, runtime)[0].cpu().numpy() for network in (given, adapted))
        expected, added = to_tensor(target).numpy(), to_tensor(inputs - crop).numpy()
        variance = (1 + 1 / JUDGED_FACTOR**2) * noise.spectrum.variance * float(np.square(noise.level.map(crop)).mean())
        distance = float(np.square(before - expected).mean())
        errors.append(distance - variance)
        differences.append(distance - float(np.square(after - expected).mean()))
        divergences.append(float((added * (before - after)).mean()) / JUDGED_FACTOR**2)
    difference = float(np.mean(differences))
    doubt = 2 * LEVEL_ERROR * abs(float(np.mean(divergences)))
    deviation = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    error = float(np.mean(errors))
    if error <= difference:  # the adapted network would have no error at all: the measured noise is not that of the pictures
        return Judgement(0.0, 0.0, 0.0)
    gain, least = (-10 * math.log10(1 - value / error) for value in (difference, difference - doubt))
    return Judgement(gain, least, difference / max(deviation, 1e-12))


def _trained(
    network: RestorationNetwork, pictures: Pictures, noise: FolderNoise, runtime: Runtime, minutes: float, steps: int | None
) -> tuple[RestorationNetwork, int]:
    """The averaged network after the training, and its steps."""
    seed_everything(0)
    trainer = SupervisedTrainer(network, OPTIMIZER, runtime, loss=ReconstructionLoss(runtime, "l2"))
    dataset = RecorruptedCrops(pictures, CROP, noise, 0, 2**31)
    more = _until(minutes) if steps is None else lambda done: done < steps
    done = 0
    while more(done):
        trainer.step(default_collate([dataset[BATCH * done + index] for index in range(BATCH)]))
        done += 1
    network.load_state_dict(trainer.networks()["restorer"].state_dict())
    return network.eval(), done


def _until(minutes: float) -> Callable[[int], bool]:
    end = time.monotonic() + 60 * minutes
    return lambda done: time.monotonic() < end


def _network(recipe: Recipe, tensors: dict[str, torch.Tensor]) -> RestorationNetwork:
    network = networks.build(recipe["network"], **recipe["settings"])
    network.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in tensors.items()})
    return network.eval()


def _readable(pictures: Pictures) -> list[np.ndarray]:
    """The pictures that can be read, (H, W, C) uint8 or uint16.

    Raises:
        ValueError: there are none.
    """
    found = [picture for index in range(len(pictures.files)) if (picture := pictures.get(index)) is not None]
    if not found:
        raise ValueError(f"none of {len(pictures.files)} pictures can be read")
    return found


def _key(entry: weights.Entry, files: Sequence[Path]) -> str:
    """Identifies the weights and the pictures by their content."""
    parts = [weights.fingerprint(entry)]
    for path in files:
        with path.open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
