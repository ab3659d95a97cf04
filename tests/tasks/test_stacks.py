"""A contract of all steps that analyse: frames of one file that look alike get one setting, other frames their own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from restore.api import step
from restore.pipeline.stack import SAMPLES, survey
from restore.pipeline.step import AnyStep, Image, ImageInfo, Step
from restore.tasks import TASKS

REQUIRED = {"inpaint": {"scratches": True}, "simulate": {"recipe": "jpeg"}}
"""Options without which a step is not made."""
ALONE = {"colorize": "its analysis only refuses radiographs; the network's colours of alike frames differ by less than a level"}
"""Steps that analyse each frame on its own, with the reason."""
FRAMES = 9


def analysing() -> list[str]:
    """The tasks whose step has an analysis."""
    return [name for name in TASKS if type(step(name, options=REQUIRED.get(name, {}))).analyse is not Step.analyse]


@pytest.fixture
def film(photograph: Callable[..., np.ndarray]) -> list[Image]:
    """Frames of one scene with blur, noise that differs a little, and blocks of JPEG, (192, 240, 3)."""
    scene, random = cv2.GaussianBlur(255 * photograph(192, 240, 3), (0, 0), 1.2), np.random.default_rng(0)
    frames = [scene * random.uniform(0.99, 1.01) + random.normal(0, random.uniform(5.8, 6.2), scene.shape) for _ in range(FRAMES)]
    coded = [cv2.imencode(".jpg", np.rint(frame).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for frame in frames]
    pixels = [cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32) / 255 for data in coded]
    return [Image(one, info=ImageInfo(index=index, frames=FRAMES, levels=255)) for index, one in enumerate(pixels)]


def settings(step: AnyStep, frames: Sequence[Image]) -> list[bytes]:
    """What is used of each frame."""
    stack = survey(step, len(frames), lambda index: frames[index])
    return [pickle.dumps(stack.analyse(step, frame)) for frame in frames]


def test_every_step_that_analyses_unifies_or_says_why_not() -> None:
    assert {name for name in analysing() if not step(name, options=REQUIRED.get(name, {})).unifies} == set(ALONE)


@pytest.mark.parametrize("name", [name for name in analysing() if name not in ALONE])
def test_alike_frames_get_one_setting_and_others_their_own(name: str, film: list[Image]) -> None:
    made = step(name)
    own = [pickle.dumps(made.analyse(frame)) for frame in film]
    assert len(set(own)) > 1 or name == "artifacts", "the frames differ enough to be judged differently"
    shared = settings(made, film)
    assert len(set(shared)) == 1
    stack = survey(made, FRAMES, lambda index: film[index])
    assert [pickle.dumps(stack.analyse(made, frame)) for frame in reversed(film)] == shared, "the order does not matter"

    other = replace(film[3], pixels=np.ascontiguousarray(film[3].pixels[::-1, ::-1]))  # the samples are 0, 2, 4, 6, 8
    mixed = settings(made, [*film[:3], other, *film[4:]])
    assert mixed[3] == pickle.dumps(made.analyse(other)) and {*mixed[:3], *mixed[4:]} == set(shared)

    pages = [replace(frame, pixels=np.roll(frame.pixels, 13 * index, axis=index % 2)) for index, frame in enumerate(film)]
    assert settings(made, pages) == [pickle.dumps(made.analyse(page)) for page in pages]


@pytest.mark.parametrize("name", [name for name in analysing() if name not in ALONE])
def test_of_a_thousand_frames_few_are_read_once_more_and_few_analyses_are_held(name: str, film: list[Image]) -> None:
    made, reads = step(name), [0] * 1000

    def image_at(index: int) -> Image:
        reads[index] += 1
        return film[index % FRAMES]

    stack = survey(made, len(reads), image_at)
    assert max(reads) == 1 and sum(reads) == len(stack.analyses) == SAMPLES
    assert len(pickle.dumps(stack)) < SAMPLES * 6 * 2**20, "whatever the size of the frames"
