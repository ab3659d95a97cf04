"""Frames of one file that look alike share what is estimated from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tifffile

from restore.pipeline.batch import run
from restore.pipeline.chain import Chain
from restore.pipeline.stack import SAMPLES, survey
from restore.pipeline.step import Image, Result, Sidecars, Step


class Mean(Step[float]):
    """Estimates a frame's mean, and lets frames of a film share the largest."""

    name = "mean"
    unifies = True

    def __init__(self) -> None:
        self.used: list[float] = []
        self.looks = 0

    def settings(self) -> dict[str, object]:
        return {}

    def analyse(self, image: Image) -> float:
        self.looks += 1
        return round(float(image.pixels.mean()), 3)

    def unified(self, own: float, samples: Sequence[float], image: Image) -> float:
        return max(samples)

    def __call__(self, image: Image, analysis: float | None = None, sidecars: Sidecars | None = None) -> Result:
        assert analysis is not None
        self.used.append(analysis)
        return Result(image.pixels, {"mean": analysis})


def film(photograph: Callable[..., np.ndarray], count: int) -> list[np.ndarray]:
    """One scene, ever brighter and with new noise, (64, 80) uint8."""
    scene, random = photograph(64, 80)[:, :, 0], np.random.default_rng(0)
    return [np.rint(200 * scene + 5 * index + random.normal(0, 4, scene.shape)).clip(0, 255).astype(np.uint8) for index in range(count)]


def restored(step: Step[float], frames: Sequence[np.ndarray], folder: Path) -> None:
    source = folder / "a.tif"
    with tifffile.TiffWriter(source) as file:
        for frame in frames:
            file.write(frame, photometric="minisblack")
    report = run(step, [source], folder / "out")
    assert report.done == 1, report.records


def test_frames_of_a_film_share_an_analysis(tmp_path: Path, photograph: Callable[..., np.ndarray]) -> None:
    step, frames = Mean(), film(photograph, 8)
    restored(step, frames, tmp_path)
    assert len(step.used) == 8 and set(step.used) == {round(float(frames[-1].mean()) / 255, 3)}
    assert step.looks == 8 + SAMPLES


def test_different_pictures_and_an_odd_frame_keep_their_own(tmp_path: Path, photograph: Callable[..., np.ndarray]) -> None:
    (tmp_path / "set").mkdir()
    step, pages = Mean(), [np.rint(255 * photograph(64, 80, seed=seed)[:, :, 0]).astype(np.uint8) for seed in range(4)]
    restored(step, pages, tmp_path / "set")
    assert step.used == [round(float(page.mean()) / 255, 3) for page in pages]
    step, frames = Mean(), film(photograph, 9)
    frames[3] = pages[2]  # the samples are 0, 2, 4, 6, 8
    restored(step, frames, tmp_path)
    shared = round(float(frames[-1].mean()) / 255, 3)
    assert step.used == [shared] * 3 + [round(float(pages[2].mean()) / 255, 3)] + [shared] * 5


def test_sizes_that_differ_and_even_frames_are_not_alike(tmp_path: Path, photograph: Callable[..., np.ndarray]) -> None:
    images = [Image(frame[:, :, None].astype(np.float32) / 255) for frame in film(photograph, 2)]
    assert len(survey(Mean(), 2, lambda index: images[index]).analyses) == 2
    cut = Image(images[1].pixels[:-1])
    assert not survey(Mean(), 2, lambda index: [images[0], cut][index]).analyses
    even = Image(np.full_like(images[0].pixels, 0.5))
    assert not survey(Mean(), 2, lambda index: even).analyses
    holed = Image(np.where(images[1].pixels > 0.6, np.nan, images[1].pixels))
    survey(Mean(), 2, lambda index: [images[0], holed][index])


def test_one_frame_is_looked_at_once_and_a_chain_asks_its_first_step(tmp_path: Path, photograph: Callable[..., np.ndarray]) -> None:
    step = Mean()
    restored(step, film(photograph, 1), tmp_path)
    assert (step.looks, len(step.used)) == (1, 1)
    (tmp_path / "chain").mkdir()
    step = Mean()
    restored(Chain([step]), film(photograph, 3), tmp_path / "chain")
    assert len(set(step.used)) == 1 and len(step.used) == 3
