"""Train and calibrate the confidence heads of the denoisers that ship, in one command (about an hour on two CPU cores):

    python benchmarks/train_confidence.py DATASETS [--out FILE] [--steps N] [--limit N] [--held N] [--heads NAMES] [--cache DIR]

`train_upscaling_confidence.py` does the same for the upscalers. Other heads in the file are kept.
DATASETS is the folder with photos/, xray/ and xray256/. For each denoiser that ships:
  1. clean training pictures get seeded noise and go once through the frozen denoiser, as in use: blind, with its views;
  2. a head learns the log of the expected absolute error (Laplace likelihood) and of its 90 % quantile (pinball loss);
  3. conformal risk control chooses a factor for each noise band on calibration pictures that neither the denoiser nor the head was
     trained on, and that are in no test set. N counts pictures: a picture gives one crop to each band.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import restore
from restore import networks, runtime, weights
from restore.datasets.degrade import gaussian, poisson_gaussian, to_8_bits
from restore.images.noise_model import NoiseLevel
from restore.inference import confidence, risk_control
from restore.inference.confidence import ConfidenceHead, HeadInputs
from restore.inference.confidence_calibration import DOUBTS, Traits
from restore.inference.denoiser import Denoiser
from restore.inference.denoising_confidence import DenoisingConfidence, head_inputs, span_of
from restore.inference.noise_estimate import Estimate
from restore.networks.error_head import ErrorHead

EDGES = (3.0, 6.0, 12.0, 24.0, 48.0, 80.0)
"""Ends of the noise bands: standard deviation at medium brightness, of 255."""
CROP, PATCH = 224, 112
MARGIN = 0.25
"""By how much of its width the range of a trait is widened beyond the calibration pictures."""
SETTINGS = {"channels": 1, "width": 40}


@dataclass(frozen=True)
class Head:
    """One head: its denoiser, what it sees, and its noise. `poisson` is the fraction of pictures with quantum noise.

    A picture is downscaled by a random factor of `scales`; with the probability `whole` it keeps its size.
    """

    denoiser: str
    pictures: str
    flag: int
    poisson: float
    scales: tuple[float, float]
    whole: float


HEADS = (
    Head("denoise-xray", "chest radiographs", cv2.IMREAD_GRAYSCALE, 0.85, (0.15, 0.7), 0.4),
    Head("denoise-gray", "photographs", cv2.IMREAD_GRAYSCALE, 0.15, (0.4, 1.0), 0.0),
    Head("denoise-color", "photographs", cv2.IMREAD_COLOR, 0.15, (0.4, 1.0), 0.0),
)


@dataclass(frozen=True)
class Sample:
    """One denoised crop, (H, W, C) float32 each, and the level that the denoiser used."""

    clean: np.ndarray
    noisy: np.ndarray
    restored: np.ndarray
    level: NoiseLevel


def patient(path: Path) -> str:
    """Whose X-ray it is: names are IM-0115-0001, NORMAL2-IM-0588-0001 or person1063_virus_1765."""
    match = re.match(r"(person\d+|(?:NORMAL2-)?IM-\d+)", path.name)
    return match[1] if match else path.stem


def hashed(path: Path) -> int:
    return zlib.crc32(path.name.encode())


def split(root: Path, head: Head) -> tuple[list[Path], list[Path]]:
    """Training and calibration pictures. No picture of a test set, and no calibration picture that trained the denoiser."""
    if head.denoiser != "denoise-xray":
        found = sorted((root / "photos/open").glob("*.jpg"))
        return [path for path in found if hashed(path) % 5 > 1], [path for path in found if hashed(path) % 5 <= 1]
    tested = {patient(path) for path in (*(root / "xray/test").glob("*"), *(root / "xray256/test").rglob("*.jp*g"))}
    patterns = weights.find(head.denoiser).recipe["training"]["data"]["include"]
    learnt = {patient(path) for pattern in patterns if pattern.startswith("xray") for path in root.glob(pattern)}
    small = [path for path in sorted((root / "xray256/train").rglob("*.jp*g")) if patient(path) not in tested]
    held: dict[str, Path] = {}  # one picture a patient
    for path in (*sorted((root / "xray/large").glob("*")), *(path for path in small if zlib.crc32(patient(path).encode()) % 8 == 0)):
        if patient(path) not in tested | learnt:
            held.setdefault(patient(path), path)
    large = sorted((root / "xray/train").glob("*"))
    rest = [path for path in (*large, *large, *small[::4]) if patient(path) not in held]
    return rest, sorted(held.values())


def crop(path: Path, head: Head, rng: np.random.Generator) -> np.ndarray:
    """A random crop of a picture at a random scale, (H, W, C) float32 in [0, 1]."""
    pixels = cv2.imread(str(path), head.flag)
    least = min(1.0, CROP / min(pixels.shape[:2]))
    whole = head.whole > 0 and rng.random() < head.whole
    scale = 1.0 if whole else float(np.clip(rng.uniform(*head.scales), least, 1))
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels[:, :, ::-1]
    top, left = (int(rng.integers(0, max(1, length - CROP + 1))) for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + CROP, left : left + CROP]).astype(np.float32) / 255


def degraded(clean: np.ndarray, head: Head, band: tuple[float, float], rng: np.random.Generator) -> tuple[np.ndarray, NoiseLevel]:
    """Noise whose standard deviation at medium brightness lies in a band; half of the pictures are rounded to 8 bits."""
    sigma = float(np.exp(rng.uniform(*np.log(band)))) / 255
    if rng.random() < head.poisson:
        readout = min(float(rng.uniform(0, 4)) / 255, 0.7 * sigma)
        noisy, level = poisson_gaussian(clean, 0.5 / (sigma**2 - readout**2), readout, rng)
    else:
        noisy, level = gaussian(clean, sigma, rng)
    return (to_8_bits(noisy) if rng.random() < 0.5 else noisy), level


def denoised(denoiser: Denoiser, clean: np.ndarray, noisy: np.ndarray, level: NoiseLevel | None) -> Sample:
    """Run the denoiser as in use; None for a blind one."""
    noise = denoiser.noise_level(noisy, level)
    restored = denoiser.denoise(noisy, noise)[0]
    return Sample(clean, noisy, restored, noise.level if isinstance(noise, Estimate) else noise)


def samples(denoiser: Denoiser, head: Head, paths: Sequence[Path], band: tuple[float, float], blind: float, key: str) -> Iterator[Sample]:
    """One denoised crop of each picture; `blind` is the fraction whose noise is estimated."""
    for index, path in enumerate(paths):
        again = f"again {index}/" if path in paths[:index] else ""
        rng = np.random.default_rng(zlib.crc32(f"{key}/{again}{path.name}".encode()))
        clean = crop(path, head, rng)
        noisy, level = degraded(clean, head, band, rng)
        yield denoised(denoiser, clean, noisy, None if rng.random() < blind else level)


def kept(path: Path | None, found: Iterator[Sample]) -> list[Sample]:
    """The samples, from the file of an earlier run where there is one: the denoiser takes most of the time."""
    if path is None:
        return list(found)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        results = list(found)
        with path.open("wb") as file:
            pickle.dump(results, file)
    with path.open("rb") as file:
        result: list[Sample] = pickle.load(file)
    return result


def true_error(sample: Sample) -> np.ndarray:
    """(H, W): the absolute error of what a file holds of the result, for colours the mean over the channels."""
    return np.abs(np.clip(sample.restored, 0, 1) - sample.clean).mean(axis=2)


# training


def patches(found: Sequence[Sample]) -> list[torch.Tensor]:
    """What the head learns from; see `stacked`."""

    def learnt() -> Iterator[tuple[HeadInputs, np.ndarray]]:
        for sample in found:
            span = span_of(sample.noisy, sample.level)
            inputs = head_inputs(sample.noisy, sample.restored, sample.level, span, torch.device("cpu"))
            yield inputs, true_error(sample) / np.float32(span.span)

    return stacked(learnt())


def stacked(found: Iterable[tuple[HeadInputs, np.ndarray]]) -> list[torch.Tensor]:
    """The arguments of the head's `forward` and the true error, (H, W), for patches of PATCH pixels, stacked."""
    parts: list[list[torch.Tensor]] = []
    for inputs, error in found:
        truth = torch.from_numpy(error)[None, None]
        height, width = error.shape
        for top in range(0, height - PATCH + 1, PATCH):
            for left in range(0, width - PATCH + 1, PATCH):
                pixels = np.s_[..., top : top + PATCH, left : left + PATCH]
                blocks = np.s_[..., top // 4 : (top + PATCH) // 4, left // 4 : (left + PATCH) // 4]
                parts.append([inputs[0][pixels].half(), inputs[1][pixels].half(), inputs[2][blocks], truth[pixels]])
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def loss_of(network: ErrorHead, restored: torch.Tensor, residual: torch.Tensor, unit: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """Laplace likelihood of the error for the expected error, pinball loss of its logarithm for the quantile."""
    errors = network(restored.float(), residual.float(), unit)
    size = unit.mean(dim=(2, 3))[:, :, None]
    error, expected, bound = error[:, 0] / size, errors.expected / size, errors.bound / size
    likelihood = torch.log(expected) + error / expected
    excess = torch.log(error + 1e-3) - torch.log(bound + 1e-3)
    return likelihood.mean() + torch.maximum(0.9 * excess, -0.1 * excess).mean()


def train(data: list[torch.Tensor], steps: int, seed: int = 1) -> ErrorHead:
    torch.manual_seed(seed)
    network = networks.build("error_head", **SETTINGS)
    assert isinstance(network, ErrorHead)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    smooth = 0.0
    for step in range(steps):
        chosen = torch.randint(len(data[0]), (16,), generator=generator)
        batch = [part[chosen] for part in data]
        turn = int(torch.randint(8, (1,), generator=generator))
        batch = [torch.rot90(part.flip(-1) if turn > 3 else part, turn % 4, (2, 3)) for part in batch]
        loss = loss_of(network, *batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        smooth = float(loss.detach()) if step == 0 else 0.98 * smooth + 0.02 * float(loss.detach())
        if step % 250 == 249:
            print(f"  step {step + 1}: loss {smooth:.4f}", flush=True)
    return network


# calibration


@dataclass(frozen=True)
class Calibrated:
    """One calibration picture: true error / bound of its pixels, true / expected mean error, mean square / that of the expected error."""

    ratios: np.ndarray
    error: float
    square: float
    traits: Traits


def calibrated(maps: confidence.ErrorMaps, traits: Traits, clean: np.ndarray, restored: np.ndarray) -> Calibrated:
    """Compare a picture's maps with the truth."""
    difference = np.clip(restored, 0, 1) - clean
    error = np.abs(difference).mean(axis=2)
    return Calibrated(
        (error / np.maximum(maps.bound, 1e-9)).ravel()[::5], float(error.mean() / maps.expected.mean()),
        float(np.square(difference).mean()) / float(np.square(maps.expected).mean()), traits,
    )  # fmt: skip


class Bands:
    """The calibration pictures by band; of one name only the first counts in a band."""

    def __init__(self, edges: Sequence[float], measure: str) -> None:
        self.edges, self.measure = edges, measure
        self.entries: list[dict[str, Calibrated]] = [{} for _ in edges[1:]]

    def add(self, name: str, entry: Calibrated) -> None:
        home = next((n for n, (low, high) in enumerate(pairwise(self.edges)) if low <= entry.traits.level < high), None)
        if home is not None:
            self.entries[home].setdefault(name, entry)

    def summary(self, tails: float = 0.0) -> list[dict[str, Any]]:
        """The bands as `confidence_calibration.read` takes them. `tails`: see `widened`."""
        bands = []
        for (low, high), found in zip(pairwise(self.edges), self.entries, strict=True):
            entries = [*found.values()]
            ratios = [entry.ratios for entry in entries]
            factor = risk_control.smallest_factor(ratios)
            covered = 1 - risk_control.mean_loss(ratios, factor)
            print(f"  band {low:g}..{high:g}: N {len(ratios)}, factor {factor:.3f}, covered {covered:.4f}", flush=True)
            bands.append({
                "low": low, "high": high, "factor": factor, "pictures": len(ratios),
                "error_factor": geometric_mean([entry.error for entry in entries]),
                "square_factor": geometric_mean([entry.square for entry in entries]),
                "ranges": {name: widened([entry.traits.values[name] for entry in entries], tails) for name in DOUBTS[self.measure]},
            })  # fmt: skip
        return bands


def calibration(network: str, measure: str, pictures: str, paths: Sequence[Path], bands: list[dict[str, Any]]) -> dict[str, Any]:
    """The calibration of the weights called `network`, as `confidence_calibration.read` takes it."""
    return {
        "measure": measure, "weights": weights.fingerprint(weights.find(network)), "pictures": pictures, "alpha": risk_control.ALPHA,
        "digest": hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest(), "count": len(paths), "bands": bands,
    }  # fmt: skip


def calibrate(network: ErrorHead, denoiser: Denoiser, head: Head, paths: Sequence[Path], cache: Path | None) -> dict[str, Any]:
    """The head's calibration."""
    estimator = DenoisingConfidence(ConfidenceHead(network, None, denoiser.runtime))
    bands = Bands(EDGES, "noise")
    for number, band in enumerate(pairwise(EDGES)):
        file = cache and cache / f"{head.denoiser}-{number}.pickle"
        found = kept(file, samples(denoiser, head, paths, band, 1.0, f"calibration {number}"))
        for path, sample in zip(paths, found, strict=True):
            maps, traits = estimator.examine(sample.noisy, sample.restored, sample.level, span_of(sample.noisy, sample.level))
            bands.add(path.name, calibrated(maps, traits, sample.clean, sample.restored))
    return calibration(head.denoiser, "noise", head.pictures, paths, bands.summary())


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def widened(values: Sequence[float], tails: float = 0.0) -> list[float]:
    """The range of the values without a fraction `tails` at each end, wider by MARGIN where it has all of them."""
    low, high = (float(np.quantile(values, part)) for part in (tails, 1 - tails))
    margin = 0.0 if tails else MARGIN * (high - low)
    return [low - margin, high + margin]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--out", type=Path, default=Path("weights/confidence.safetensors"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--limit", type=int, default=360, help="training pictures of a head")
    parser.add_argument("--held", type=int, default=84, help="calibration pictures of a head")
    parser.add_argument("--cache", type=Path, help="keep denoised crops here, for further runs")
    parser.add_argument("--heads", default=",".join(head.denoiser for head in HEADS))
    options = parser.parse_args()
    chosen = [head for head in HEADS if head.denoiser in options.heads.split(",")]
    for head in chosen:
        since = time.time()
        ensemble = 1 if head.poisson > 0.5 else 2
        denoiser = restore.load(head.denoiser, ensemble=ensemble, precision="fp32")
        learning, held = (
            sorted(paths, key=hashed)[:count]
            for paths, count in zip(split(options.datasets, head), (options.limit, options.held), strict=True)
        )
        print(f"{head.denoiser}: {len(learning)} training, {len(held)} calibration pictures", flush=True)
        found = samples(denoiser, head, learning, (EDGES[0] / 1.3, EDGES[-1] * 1.2), 0.7, "training")
        data = patches(kept(options.cache and options.cache / f"{head.denoiser}.pickle", found))
        print(f"  {len(data[0])} patches, {time.time() - since:.0f} s", flush=True)
        network = rounded(train(data, options.steps))
        del data
        print(f"  trained, {time.time() - since:.0f} s", flush=True)
        command = f"python benchmarks/train_confidence.py DATASETS --steps {options.steps} --limit {options.limit} --held {options.held}"
        write(options.out, head.denoiser, network, calibrate(network, denoiser, head, held, options.cache), command)
        print(f"  calibrated, {time.time() - since:.0f} s", flush=True)


def rounded(network: ErrorHead) -> ErrorHead:
    """The network with the half precision in which its tensors are stored."""
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})
    return network


def write(out: Path, name: str, network: ErrorHead, calibration: dict[str, Any], command: str) -> None:
    """Add a head to the file, or replace it."""
    tensors, recipe = weights.load(out) if out.exists() else ({}, {})
    kept = {key: value for key, value in tensors.items() if not key.startswith(f"{name}.")}
    tensors = kept | {f"{name}.{key}": value for key, value in network.state_dict().items()}
    calibrations = {**recipe.get("calibration", {}), name: calibration}
    weights.save(out, tensors, {
        "task": confidence.TASK, "network": "error_head", "settings": SETTINGS, "calibration": calibrations,
        "commands": {**recipe.get("commands", {}), name: command}, "directions": sorted(calibrations),
        "torch": torch.__version__, "device": runtime.choose().device.type,
    })  # fmt: skip


if __name__ == "__main__":
    main()
