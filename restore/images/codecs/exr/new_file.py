"""New OpenEXR files of pictures that come from other formats: linear light of sRGB's primaries, without loss (ZIP).

Integers are decoded by the picture's ICC profile, or by the curve of sRGB (IEC 61966-2-1) where it has none; 8 bits become halves, 16 bits
floats. Floats without a profile are taken for linear light, which is what files of floats hold. Colours are multiplied by their alpha.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import imagecodecs
import numpy as np

from restore.images import colour_profiles, srgb
from restore.images.errors import ImageError
from restore.images.metadata import Metadata

_NAMES = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}


def write(library: ModuleType, path: Path, stored: np.ndarray, metadata: Metadata) -> None:
    """Write (H, W), (H, W, 3) or (H, W, 2|4) with alpha last: uint8, uint16 or floats.

    Args:
        library: OpenEXR.

    Raises:
        ImageError: the profile cannot be applied to the samples.
    """
    samples = stored[..., None] if stored.ndim == 2 else stored
    count = samples.shape[-1]
    colours = count - (count in (2, 4))
    decoded = _light(samples[..., :colours], metadata.icc)
    if count > colours:
        white = np.iinfo(stored.dtype).max if stored.dtype.kind == "u" else 1
        alpha = (samples[..., colours:] / np.float64(white)).astype(np.float32)
        decoded = np.concatenate([decoded * alpha, alpha], -1)
    kind = np.float16 if stored.dtype in (np.uint8, np.float16) else np.float32
    planes = {name: np.ascontiguousarray(decoded[..., index], kind) for index, name in enumerate(_NAMES[count])}
    header: dict[str, object] = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
    if metadata.dpi:
        header["xDensity"] = float(metadata.dpi[0])
        header["pixelAspectRatio"] = float(metadata.dpi[0] / metadata.dpi[1])
    channels = {name: library.Channel(plane) for name, plane in planes.items()}
    with library.File(header, channels, num_threads=0) as file:
        file.write(str(path))


def _light(samples: np.ndarray, icc: bytes | None) -> np.ndarray:
    """(H, W, 1|3) samples as linear light of sRGB's primaries, float32; white is 1."""
    is_integer, gray = samples.dtype.kind == "u", samples.shape[-1] == 1
    encoded = (samples / np.float64(np.iinfo(samples.dtype).max) if is_integer else samples).astype(np.float32)
    usable = icc if icc is not None and colour_profiles.sound(icc) else None
    if usable is None:
        return srgb.linear(encoded) if is_integer else encoded
    if usable == colour_profiles.profile(colour_profiles.Colours(gamma=1.0), gray=gray):
        return encoded
    if colour_profiles.shows_srgb(usable, gray=usable[16:20] == b"GRAY"):
        return srgb.linear(encoded)
    if not is_integer and not (encoded.min() >= 0 and encoded.max() <= 1):
        raise ImageError("its colour profile says nothing of values below 0 or above 1, so exr can't hold its light; choose tiff")
    return _profile_decoded(encoded, usable)


def _profile_decoded(encoded: np.ndarray, icc: bytes) -> np.ndarray:
    """By the colour engine, relative colorimetric."""
    gray = icc[16:20] == b"GRAY"
    if gray and encoded.shape[-1] == 3:
        icc = colour_profiles.in_colour(icc) or icc
    by_one = gray and encoded.shape[-1] == 1
    target = colour_profiles.profile(colour_profiles.Colours(gamma=1.0), gray=by_one)
    space, samples = ("gray", encoded[..., 0]) if by_one else ("rgb", np.broadcast_to(encoded, (*encoded.shape[:2], 3)))
    try:
        light: np.ndarray = np.asarray(
            imagecodecs.cms_transform(np.ascontiguousarray(samples), icc, target, colorspace=space, outcolorspace=space, intent=1)
        )
    except (ValueError, RuntimeError) as error:
        raise ImageError(f"its colour profile can't be applied ({error}), so exr can't hold its light; choose tiff") from error
    planes: np.ndarray = light.reshape(*encoded.shape[:2], -1)[..., : encoded.shape[-1]]
    return np.ascontiguousarray(planes, np.float32)
