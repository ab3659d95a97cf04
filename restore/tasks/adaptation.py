"""`restore denoise --adapt`: fine-tunes weights on the noisy pictures of a folder, and decides without clean ones whether they help.

The training uses recorruption (see `recorrupted`), which holds for white noise, for correlated noise whose spectrum is measured, for lines,
and for few photons. `adaptation_judgement` decides.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import default_collate

from restore import networks, weights
from restore.datasets.crops import Pictures, to_float
from restore.datasets.recorrupted import RecorruptedCrops
from restore.inference.denoiser import Denoiser
from restore.inference.loading import InferenceOptions
from restore.inference.noise_estimation import estimate
from restore.networks import RestorationNetwork
from restore.runtime import Runtime, seed_everything
from restore.tasks.adaptation_judgement import Judged, Judgement, judge
from restore.tasks.self_supervision import FolderNoise, folder_noise
from restore.training.losses import ReconstructionLoss
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import SupervisedTrainer
from restore.weights_file import Recipe
from restore.writing import atomic_write

MOST = 48
"""Pictures of a folder that are used."""
HELD_OUT = 2
"""Every so many pictures one is held out. Pictures of a folder differ: of sixteen phantoms four were too few to decide by."""
CROP, BATCH = 64, 4
OPTIMIZER = OptimizerConfig(name="adam", learning_rate=3e-4, warmup_steps=10, ema=0.97)
"""Adam, because the targets are noisy: the steps of Muon keep their size however noisy a gradient is."""


@dataclass(frozen=True)
class Adaptation:
    """The result of an adaptation.

    Attributes:
        entry: the adapted weights; None if the given ones are to be used.
        text: what was done and decided, one sentence.
    """

    entry: weights.Entry | None
    text: str


@dataclass(frozen=True, eq=False)
class Candidate:
    """Adapted weights, and what is known of them.

    Attributes:
        network: fine-tuned.
        given: the weights that it started from.
        recipe: of both.
        steps, trained, held: training steps, pictures that it was trained on, and pictures that it was judged on.
        noise: describes the pictures' noise.
        judgement: whether it helps.
    """

    network: RestorationNetwork
    given: weights.Entry
    recipe: Recipe
    steps: int
    trained: int
    held: int
    noise: str
    judgement: Judgement

    @property
    def text(self) -> str:
        """What was done, and what came out."""
        return (
            f"{self.steps} steps on {self.trained} pictures: {self.judgement.gain:+.2f} dB on {self.held} held-out ones by estimate "
            f"(at least {self.judgement.least:+.2f}; {self.judgement.certainty:.1f} standard errors; noise: {self.noise})"
        )

    def save(self, path: Path) -> None:
        """Write the weights, their recipe, and a card with the purpose and the terms of the given weights."""
        adapted = {"from": self.given.name, "steps": self.steps, "text": self.text}
        inherited = {key: value for key, value in self.recipe.items() if key != "validation"}  # these weights were never validated so
        weights.save(path, self.network.state_dict(), {**inherited, "adapted": adapted})
        with atomic_write(path.with_suffix(".md")) as draft:
            draft.write_text(
                f"# {path.stem}\n\n`{self.given.name}`, adapted to the pictures of a folder: {self.text}.\n\n"
                f"- for: {self.given.purpose}\n- licence: {self.given.licence}\n", encoding="utf-8",
            )  # fmt: skip


def adapt(entry: weights.Entry, files: Sequence[Path], runtime: Runtime, minutes: float, *, steps: int | None = None) -> Adaptation:
    """Fine-tune denoising weights on noisy pictures, and keep the result if it helps.

    It is kept among the user's weights under a name that follows from the pictures and the given weights, so that the same call finds it
    again; so is the decision against them, until more minutes are asked for. For the arguments see `fine_tuned`.

    Raises:
        ValueError: there is no place to keep the result.
    """
    name = f"{entry.name}-adapted-{_key(entry, spread(files))}"
    try:
        found = weights.find(name)
        weights.load(found.path)
    except ValueError as error:
        if (damaged := weights.user_path(name)) is not None and damaged.exists():
            raise ValueError(f"{damaged}, adapted to these pictures before, cannot be used: remove it to adapt again ({error})") from error
        target = weights.user_path(name) or weights.unused_path(name)  # which says why there is no place
    else:
        return _adapted_before(found)
    _check_writable(target.parent)
    if steps is None and (text := _rejection(target, minutes)):
        return Adaptation(None, f"adapted weights were judged before and are not used, {text}")
    candidate = fine_tuned(entry, files, runtime, minutes, steps=steps)
    if isinstance(candidate, str):
        return Adaptation(None, f"not adapted: {candidate}")
    if not candidate.judgement.helps:
        with atomic_write(_rejected(target)) as draft:
            draft.write_text(json.dumps({"minutes": minutes, "text": candidate.text}), encoding="utf-8")
        return Adaptation(None, f"adapted weights are not used, {candidate.text}")
    if target.exists():  # another run on the same pictures was faster, and uses them
        return _adapted_before(weights.entry(target))
    candidate.save(target)
    return Adaptation(weights.entry(target), f"adapted weights {name}, {candidate.text}; use them elsewhere by --weights {name}")


def _adapted_before(found: weights.Entry) -> Adaptation:
    before = found.recipe.get("adapted")
    text = f": {before['text']}" if isinstance(before, dict) and isinstance(before.get("text"), str) else ""
    return Adaptation(found, f"uses {found.name}, adapted to these pictures before{text}")


def _check_writable(folder: Path) -> None:
    """Raise ValueError if a folder for weights cannot be written: hours of training would be lost."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"adapted weights cannot be kept in {folder} ({(error.strerror or str(error)).lower()}): "
            "set RESTORE_WEIGHTS to a folder that can be written"
        ) from error


def _rejected(target: Path) -> Path:
    """The file that says that weights with this path were judged, and do not help."""
    return target.with_suffix(".rejected.json")


def _rejection(target: Path, minutes: float) -> str:
    """What was found when as many minutes or more did not help; "" if that was not tried."""
    try:
        found = json.loads(_rejected(target).read_text(encoding="utf-8"))
        return str(found["text"]) if float(found["minutes"]) >= minutes else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def fine_tuned(
    entry: weights.Entry, files: Sequence[Path], runtime: Runtime, minutes: float, *, steps: int | None = None
) -> Candidate | str:  # fmt: skip
    """Fine-tune denoising weights on noisy pictures, and judge the result on others of them.

    Args:
        entry: the weights to start from.
        files: the pictures of a folder; MOST of them are used, evenly spread.
        runtime: device; the training runs in float32.
        minutes: how long it trains.
        steps: train so many steps instead, which is reproducible.

    Returns:
        The result; or why there is none.
    """
    chosen = spread(files)
    if entry.recipe["network"] not in networks.NETWORKS:
        return f"the network of {entry.name} cannot be trained here"
    if len(chosen) < 2:
        return f"it takes a picture to train on and another to judge by; {entry.name} has {len(chosen)} here"
    tensors, recipe = weights.load(entry.path)
    held = held_out(chosen)
    channels = int(recipe["settings"].get("channels", 1))
    train = Pictures([path for path in chosen if path not in held], channels, use="adaptation", noisy=True)
    judged = Pictures(held, channels, use="adaptation", noisy=True)
    given, learner = (_network(recipe, tensors) for _ in range(2))
    try:
        noise = folder_noise([to_float(one) for one in _readable(train)], given.spec)
        judges = [to_float(one) for one in _readable(judged)]
    except ValueError as error:
        return str(error)
    runtime = runtime.in_precision("fp32")
    adapted, done = _trained(learner, train, noise, runtime, minutes, steps)
    before, after = (Denoiser(network, recipe, InferenceOptions(runtime)) for network in (given, adapted))
    known = [(one, estimate(one)) for one in judges]
    judgement = judge(before, after, [Judged(one, level, noise.own(level)) for one, level in known])
    return Candidate(adapted, entry, recipe, done, len(train.files), len(judges), noise.text, judgement)


def spread(files: Sequence[Path]) -> list[Path]:
    """At most MOST of the files, evenly spread."""
    return [files[number] for number in np.unique(np.linspace(0, len(files) - 1, MOST).astype(int))] if files else []


def held_out(files: Sequence[Path]) -> list[Path]:
    """Those of `spread(files)` that are not trained on."""
    return spread(files)[HELD_OUT // 2 :: HELD_OUT]


def _trained(
    network: RestorationNetwork, pictures: Pictures, noise: FolderNoise, runtime: Runtime, minutes: float, steps: int | None
) -> tuple[RestorationNetwork, int]:
    """The averaged network after the training, and its steps."""
    seed_everything(0)
    trainer = SupervisedTrainer(network, OPTIMIZER, runtime, loss=ReconstructionLoss(runtime, "l2"))
    dataset = RecorruptedCrops(pictures, CROP, noise, 0, 2**31, twins=True)
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
    """The pictures that can be read, (H, W, C) uint8, uint16 or float32.

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
