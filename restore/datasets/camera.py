"""Seeded camera noise, made as a camera makes it: on the sensor, before demosaicing, noise reduction, sharpening and JPEG.

A photograph is taken back to the linear values of a sensor, gets shot and read noise there, and is developed again, after Brooks et al.
2019, "Unprocessing images for learned raw denoising" (sections 3.1 to 3.6; the noise levels are its equation 18). What cameras do after
demosaicing is added here: the softness of a lens, noise reduction, sharpening, resizing. The noise that is left is alike in neighbouring
pixels and in the colours, and stronger in the dark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from restore.datasets import blur, degrade
from restore.datasets.degrade import NoiseConfig, jpeg, to_8_bits
from restore.images.luma import luma
from restore.images.noise_model import NoiseLevel

SHOT = (1e-4, 1.2e-2)
"""Range of the shot noise: variance per unit of a sensor's value, whose white is 1. Drawn log-uniformly."""
READ = (2.18, 1.2, 0.26)
"""The logarithm of the read noise's variance is normal about 2.18 log shot + 1.2 with a deviation of 0.26 (Brooks et al., equation 18)."""
CROSSTALK = (0.0, 0.35)
"""Range of the fraction of each colour that a sensor's filters let into the others."""
GAINS = (1.3, 2.4)
"""Range of the white balance's gains for red and blue."""
LENS, ENLARGED = (0.3, 1.5), (1.0, 3.0)
"""Ranges of the blur of a lens, in pixels, and of an enlargement; see `soften`."""
EDGE = 1e-4
"""Least value before a power is taken of it."""


@dataclass(frozen=True)
class Camera:
    """The settings of a camera, drawn by `draw`.

    Attributes:
        shot, read: variance of a sensor's value x is shot x + read.
        crosstalk: see CROSSTALK.
        red, blue: gains of the white balance.
        curved: whether the tone curve is an S over the gamma curve.
        lens: standard deviation of the lens's blur, in pixels; 0 for none.
        fine: whether demosaicing follows edges, else it is bilinear.
        chroma: standard deviation of the Gaussian that smooths the colour differences, in pixels; 0 for none.
        smoothing: fraction of a bilateral filter's result that replaces the luma, 0..1.
        sharpening: amount of the unsharp mask; 0 for none.
        radius: its standard deviation in pixels.
        scale: the picture's size afterwards, as a fraction.
        quality: of its JPEG; None stores 8 bits without loss.
    """

    shot: float
    read: float
    crosstalk: float = 0.0
    red: float = 2.0
    blue: float = 1.7
    curved: bool = False
    lens: float = 0.0
    fine: bool = False
    chroma: float = 0.0
    smoothing: float = 0.0
    sharpening: float = 0.0
    radius: float = 0.8
    scale: float = 1.0
    quality: int | None = None


def draw(rng: np.random.Generator) -> Camera:
    """A camera and its settings."""
    shot = float(np.exp(rng.uniform(*np.log(SHOT))))
    slope, offset, deviation = READ
    use = rng.random(7)
    return Camera(
        shot=shot,
        read=float(np.exp(slope * np.log(shot) + offset + rng.normal(0, deviation))),
        crosstalk=float(rng.uniform(*CROSSTALK)),
        red=float(rng.uniform(*GAINS)),
        blue=float(rng.uniform(*GAINS)),
        curved=use[0] < 0.5,
        lens=float(rng.uniform(*LENS)) if use[1] < 0.6 else 0.0,
        fine=use[2] < 0.5,
        chroma=float(rng.uniform(0.6, 3.0)) if use[3] < 0.6 else 0.0,
        smoothing=float(rng.uniform(0.2, 0.9)) if use[4] < 0.5 else 0.0,
        sharpening=float(rng.uniform(0.2, 1.2)) if use[5] < 0.6 else 0.0,
        radius=float(rng.uniform(0.6, 1.2)),
        scale=float(rng.uniform(0.4, 1.5)) if use[6] < 0.35 else 1.0,
        quality=int(rng.integers(80, 100)) if rng.random() < 0.8 else None,
    )


def photograph(picture: np.ndarray, camera: Camera, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Take a picture of a picture.

    Args:
        picture: (H, W, 3) float32 in [0, 1], clean.
        camera: its settings.
        rng: draws the noise.

    Returns:
        What the camera stores, and what it would store without noise and without JPEG: (h, w, 3) float32 in [0, 1] each, of `scale` times
        the picture's size. An odd side loses a pixel first.
    """
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    linear = _sensor(_softened(picture[:height, :width], camera.lens), camera)
    noise = rng.standard_normal((height, width), dtype=np.float32)
    mosaic = _mosaic(linear)
    noisy = mosaic + np.sqrt(np.float32(camera.shot) * np.maximum(mosaic, 0) + np.float32(camera.read)) * noise
    stored, clean = _developed(noisy, camera), to_8_bits(_developed(mosaic, camera))
    return (to_8_bits(stored) if camera.quality is None else jpeg(stored, camera.quality)), clean


def without_noise(camera: Camera) -> Camera:
    """The same settings in light that leaves no noise."""
    return replace(camera, shot=0.0, read=0.0)


def noisy(picture: np.ndarray, camera: Camera, rng: np.random.Generator) -> tuple[np.ndarray, NoiseLevel]:
    """Give a picture the noise that it gets when such a camera takes it; all else that a camera changes is left out.

    Args:
        picture: (S, S, 1|3) float32 in [0, 1], clean; the luma of the noise is added to a gray one.
        camera: its settings; its `scale` becomes the next one that gives the same size.
        rng: draws the noise.

    Returns:
        The same shape, a picture of 8 bits; and the level of its noise, the standard deviation over the picture.
    """
    side = len(picture)
    scene = 2 * max(1, round(side / camera.scale / 2))
    seen = picture[:scene, :scene] if camera.scale == 1 else np.clip(_resized(picture, scene), 0, 1)
    seen = np.repeat(seen, 3, axis=2) if seen.shape[2] == 1 else seen
    stored, clean = photograph(seen, replace(camera, scale=1.0 if camera.scale == 1 else side / scene), rng)
    noise = stored - clean if picture.shape[2] == 3 else luma(stored - clean)[:, :, None]
    if len(noise) < side:  # an odd side lost a pixel
        noise = np.pad(noise, ((0, side - len(noise)),) * 2 + ((0, 0),), mode="symmetric")
    return to_8_bits(picture + noise), NoiseLevel.gaussian(255 * float(np.sqrt(np.mean(np.square(noise), dtype=np.float64))))


def add_noise(picture: np.ndarray, rng: np.random.Generator, config: NoiseConfig) -> tuple[np.ndarray, np.ndarray]:
    """Add the noise of a camera to `camera_fraction` of the crops, and to the others what `degrade.add_noise` draws.

    Returns:
        The noisy crop (S, S, C), and the map of its noise's standard deviation, (S, S, 1): of a camera's noise the mean over the crop.
    """
    if rng.random() >= config.camera_fraction:
        return degrade.add_noise(picture, rng, config)
    stored, level = noisy(picture, draw(rng), rng)
    if config.map_error > 0:
        level = level.scaled(float(np.exp(rng.normal(0, config.map_error))))
    return stored, level.map(stored)


def soften(picture: np.ndarray, rng: np.random.Generator, config: NoiseConfig) -> np.ndarray:
    """Enlarge or blur `soft_fraction` of the crops, (S, S, C) float32 in [0, 1]: at full size, pictures of large sensors are soft."""
    if rng.random() >= config.soft_fraction:
        return picture
    if rng.random() < 0.5:
        return np.asarray(blur.gaussian(picture, rng.uniform(*LENS)))
    side = len(picture)
    part = max(1, round(side / rng.uniform(*ENLARGED)))
    top, left = (int(rng.integers(0, side - part + 1)) for _ in range(2))
    return np.asarray(np.clip(_resized(np.ascontiguousarray(picture[top : top + part, left : left + part]), side), 0, 1))


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    method = cv2.INTER_AREA if side < len(picture) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method)).reshape(side, side, -1)


def _softened(picture: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(blur.gaussian(picture, width)) if width else picture


def _mixing(camera: Camera) -> np.ndarray:
    """(3, 3), linear sRGB to a sensor's colours."""
    return np.asarray((1 - camera.crosstalk) * np.eye(3) + camera.crosstalk / 3, np.float32)


def _sensor(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """The values of a sensor, (H, W, 3): the tone curve, the gamma curve, the colours and the white balance undone."""
    toned = 0.5 - np.sin(np.arcsin(1 - 2 * np.clip(picture, 0, 1)) / 3) if camera.curved else np.clip(picture, 0, 1)
    linear = np.asarray(np.maximum(toned, EDGE) ** 2.2 @ _mixing(camera).T)
    return linear / np.array([camera.red, 1, camera.blue], np.float32)


def _mosaic(linear: np.ndarray) -> np.ndarray:
    """One colour a pixel, (H, W): red, green; green, blue."""
    mosaic = linear[:, :, 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    return mosaic


def _developed(mosaic: np.ndarray, camera: Camera) -> np.ndarray:
    """What a camera makes of a mosaic, (h, w, 3) float32 in [0, 1]."""
    raw = np.clip(np.rint(16384 * mosaic + 1024), 0, 65535).astype(np.uint16)  # the offset keeps negative noise
    code = cv2.COLOR_BayerRGGB2RGB_EA if camera.fine else cv2.COLOR_BayerRGGB2RGB
    linear = (cv2.cvtColor(raw, code).astype(np.float32) - 1024) / 16384
    linear = (linear * np.array([camera.red, 1, camera.blue], np.float32)) @ np.linalg.inv(_mixing(camera)).astype(np.float32).T
    picture = np.asarray(np.maximum(np.clip(linear, 0, 1), EDGE) ** np.float32(1 / 2.2))
    if camera.curved:
        picture = picture**2 * (3 - 2 * picture)
    picture = _sharpened(_reduced_noise(picture, camera), camera)
    if camera.scale != 1:
        size = [max(1, round(camera.scale * side)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if camera.scale < 1 else cv2.INTER_CUBIC)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _reduced_noise(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """Smooth the colour differences, and the luma where it has no edges."""
    if not camera.chroma and not camera.smoothing:
        return picture
    gray = luma(picture)[:, :, None]
    colours = picture - gray
    if camera.chroma:
        colours = blur.gaussian(colours, camera.chroma)
        colours = colours - luma(colours)[:, :, None]
    if camera.smoothing:
        smooth = cv2.bilateralFilter(np.ascontiguousarray(gray[:, :, 0]), 5, 0.08, 1.5)[:, :, None]
        gray = gray + np.float32(camera.smoothing) * (smooth - gray)
    return np.asarray(gray + colours)


def _sharpened(picture: np.ndarray, camera: Camera) -> np.ndarray:
    if not camera.sharpening:
        return picture
    return np.asarray(picture + np.float32(camera.sharpening) * (picture - blur.gaussian(picture, camera.radius)))
