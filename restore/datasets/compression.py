"""Seeded JPEG compression, once or twice, to train the removal of its artefacts on.

Pictures are float32 (H, W, C) in nominal [0, 1], C 1 or 3. The block grid of a second compression is shifted against that of the first:
networks that saw single compression only fail on such pictures (Jiang et al. 2021, "Towards flexible blind JPEG artifacts removal").
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from restore.datasets.degrade import to_8_bits
from restore.images.luma import luma
from restore.images.quantisation import Quantisation
from restore.limits import check_fields

SUBSAMPLINGS = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


@dataclass(frozen=True)
class CompressionConfig:
    """How pictures are compressed. The fractions are probabilities."""

    quality: tuple[int, int] = field(default=(5, 96), metadata={"help": "range of the JPEG quality", "range": (1, 100), "rising": True})
    twice_fraction: float = field(default=0.25, metadata={"help": "fraction of the crops that are compressed twice", "range": (0, 1)})
    shifted_fraction: float = field(
        default=0.3, metadata={"help": "fraction of the crops whose blocks begin inside the crop, not at its edge", "range": (0, 1)}
    )
    half_chroma_fraction: float = field(default=0.75, metadata={"help": "colour: fraction with 4:2:0 chroma", "range": (0, 1)})
    unknown_fraction: float = field(default=0.1, metadata={"help": "fraction of the crops whose compression is unknown", "range": (0, 1)})
    clean_fraction: float = field(default=0.04, metadata={"help": "fraction of the crops that are not compressed", "range": (0, 1)})
    gray_fraction: float = field(default=0.3, metadata={"help": "colour: fraction of the crops that are gray", "range": (0, 1)})

    def __post_init__(self) -> None:
        check_fields(self)


def compress(picture: np.ndarray, rng: np.random.Generator, *, config: CompressionConfig) -> tuple[np.ndarray, np.ndarray]:
    """Compress a picture.

    Returns:
        The decoded picture, and the condition of its last compression, (H, W, 1); zeros where it is unknown.
    """
    draws = rng.random(4)
    unknown = np.zeros((*picture.shape[:2], 1), np.float32)
    if draws[0] < config.clean_fraction:
        return to_8_bits(picture), unknown
    sampling = SUBSAMPLINGS[0] if draws[1] < config.half_chroma_fraction else SUBSAMPLINGS[int(rng.integers(1, 3))]
    if draws[2] < config.twice_fraction:
        picture = jpeg(picture, _quality(rng, config), sampling, *_corner(rng, config.shifted_fraction > 0))
    quality, (top, left) = _quality(rng, config), _corner(rng, draws[3] < config.shifted_fraction)
    decoded = jpeg(picture, quality, sampling, top, left)
    if rng.random() < config.unknown_fraction:
        return decoded, unknown
    return decoded, Quantisation.of_quality(quality, top, left).condition(*(slice(0, side) for side in picture.shape[:2]))


def some_gray(picture: np.ndarray, rng: np.random.Generator, *, config: CompressionConfig) -> np.ndarray:
    """Turn a fraction of colour pictures gray, three equal channels (ITU-R BT.601)."""
    if picture.shape[2] == 1 or rng.random() >= config.gray_fraction:
        return picture
    return np.repeat(luma(picture)[:, :, None], 3, axis=2)


def jpeg(picture: np.ndarray, quality: int, sampling: int = SUBSAMPLINGS[0], top: int = 0, left: int = 0) -> np.ndarray:
    """Encode as an 8-bit JPEG and decode.

    Args:
        picture: (H, W, 1|3); three equal channels are coded as gray.
        quality: 1..100.
        sampling: of the chroma, one of SUBSAMPLINGS.
        top, left: where the first whole block begins, 0..7 each.
    """
    gray = picture.shape[2] == 1 or (
        np.array_equal(picture[:, :, 0], picture[:, :, 1]) and np.array_equal(picture[:, :, 0], picture[:, :, 2])
    )
    stored = np.rint(np.clip(picture[:, :, :1] if gray else picture[:, :, ::-1], 0, 1) * 255).astype(np.uint8)  # OpenCV has blue first
    above, before = -top % 8, -left % 8
    stored = cv2.copyMakeBorder(stored, above, 0, before, 0, cv2.BORDER_REFLECT_101)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality, *([] if gray else [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])]
    coded = cv2.imencode(".jpg", stored, parameters)[1]
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)).reshape(*stored.shape[:2], -1)[above:, before:, ::-1]
    return np.ascontiguousarray(np.broadcast_to(decoded, picture.shape), np.float32) / np.float32(255)


def _quality(rng: np.random.Generator, config: CompressionConfig) -> int:
    return int(rng.integers(config.quality[0], config.quality[1] + 1))


def _corner(rng: np.random.Generator, shifted: bool) -> tuple[int, int]:
    top, left = (int(value) for value in rng.integers(0, 8, 2))
    return (top, left) if shifted else (0, 0)
