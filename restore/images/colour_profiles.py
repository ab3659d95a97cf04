"""ICC profiles: built from PNG's colour chunks, and compared with sRGB."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

_D65 = (0.3127, 0.329)
_SRGB = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""White, red, green, blue: x and y of each."""
_PRIMARIES = {
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""ITU-T H.273, table 2."""
_SRGB_CURVE, _VIDEO_CURVE, _LINEAR = 13, 1, 8
_GAMMAS = {4: 2.2, 5: 2.8, _LINEAR: 1.0}
_CURVES = {1: _VIDEO_CURVE, 6: _VIDEO_CURVE, 14: _VIDEO_CURVE, 15: _VIDEO_CURVE, 13: _SRGB_CURVE}
"""ITU-T H.273, table 3, those that are no HDR."""
_NEAR = 0.002


@dataclass(frozen=True)
class Colours:
    """A colour space that PNG chunks describe: white and primaries, and a power or a curve."""

    places: tuple[float, ...] = _SRGB
    gamma: float | None = None
    curve: int = _SRGB_CURVE

    @property
    def is_srgb(self) -> bool:
        """Whether a viewer shows the same colours without a profile."""
        power = self.curve == _SRGB_CURVE if self.gamma is None else abs(self.gamma - 2.2) < 0.02
        return power and max(abs(a - b) for a, b in zip(self.places, _SRGB, strict=True)) < _NEAR


def from_png(cicp: bytes | None, srgb: bytes | None, gama: bytes | None, chrm: bytes | None) -> Colours:
    """The colour space that the payloads of these chunks describe; the first one present decides.

    Raises:
        ValueError: colours that no simple ICC profile describes (HDR, YCbCr, narrow range, rare curves or primaries).
    """
    if cicp is not None and len(cicp) == 4:
        primaries, transfer, matrix, full = cicp
        supported = primaries in _PRIMARIES and (transfer in _GAMMAS or transfer in _CURVES)
        if not supported or matrix != 0 or full != 1:
            hdr = {16: " (HDR, PQ)", 18: " (HDR, HLG)"}.get(transfer, "")
            raise ValueError(f"the colour codes {primaries}, {transfer}, {matrix}, {full} in its cICP chunk{hdr}")
        return Colours(_PRIMARIES[primaries], _GAMMAS.get(transfer), _CURVES.get(transfer, _SRGB_CURVE))
    if srgb is not None:
        return Colours()
    gamma = 1e5 / struct.unpack(">I", gama)[0] if gama and len(gama) == 4 and any(gama) else None
    places = tuple(v / 1e5 for v in struct.unpack(">8I", chrm)) if chrm and len(chrm) == 32 else _SRGB
    return Colours(places, gamma)


def of_codes(primaries: int, transfer: int, *, gray: bool = False) -> tuple[bytes | None, str | None]:
    """The ICC profile of colour codes (ITU-T H.273), and why there is none; both None for sRGB and unspecified codes (2)."""
    primaries, transfer = (1 if primaries == 2 else primaries), (_SRGB_CURVE if transfer == 2 else transfer)
    if primaries == 1 and transfer in (_SRGB_CURVE, _VIDEO_CURVE, 6):  # viewers show video's curve as that of sRGB
        return None, None
    try:
        return profile(from_png(bytes([primaries, transfer, 0, 1]), None, None, None), gray=gray), None
    except ValueError as error:
        return None, str(error).removesuffix(" in its cICP chunk")


def profile(colours: Colours, *, gray: bool) -> bytes:
    """An ICC profile of this colour space; equal bytes for equal spaces."""
    encoded = np.linspace(0, 1, 4096)
    if colours.curve == _SRGB_CURVE:
        light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    else:
        light = np.where(encoded < 0.081, encoded / 4.5, ((encoded + 0.099) / 1.099) ** (1 / 0.45))
    options: dict[str, Any] = {"whitepoint": (*colours.places[:2], 1.0)}
    if colours.gamma is None:
        options["transferfunction"] = np.rint(light * 65535).astype(np.uint16)
    else:
        options["gamma"] = colours.gamma
    if gray:
        return _dated(imagecodecs.cms_profile("gray", **options))
    return _rgb(colours.places, **options)


def _rgb(places: tuple[float, ...], **options: Any) -> bytes:
    """An RGB profile with this white and these primaries."""
    at = places
    primaries = (at[2], at[3], 1.0, at[4], at[5], 1.0, at[6], at[7], 1.0)
    return _dated(imagecodecs.cms_profile("rgb", **{"whitepoint": (*at[:2], 1.0), "primaries": primaries, **options}))


def _dated(profile: bytes) -> bytes:
    """The profile with a fixed date."""
    made = bytearray(profile)
    made[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # it would hold the time of day
    return bytes(made)


def in_colour(icc: bytes) -> bytes | None:
    """The profile of a gray picture's equal red, green and blue samples; a profile that is not gray, as it is.

    Its curve is the gray one's, its primaries are sRGB's. None where samples without a profile look the same, or the curve cannot be read.
    """
    if icc[16:20] != b"GRAY":
        return icc
    if not sound(icc) or shows_srgb(icc, gray=True):
        return None
    linear = imagecodecs.cms_profile("gray", whitepoint=(*_D65, 1.0), gamma=1.0)
    ramp = np.rint(np.linspace(0, 65535, 4096)).astype(np.uint16)[None]
    light = imagecodecs.cms_transform(ramp, icc, linear, colorspace="gray", outcolorspace="gray")
    return _rgb(_SRGB, transferfunction=np.ascontiguousarray(light.ravel()))


def in_gray(icc: bytes) -> bytes | None:
    """The profile of samples that were equal red, green and blue: gray, with the curve that equal samples have; a gray profile, as it is.

    None where gray samples without a profile look the same, or the curve cannot be read.
    """
    if icc[16:20] == b"GRAY":
        return icc
    if icc[16:20] != b"RGB " or not sound(icc) or shows_srgb(icc, gray=False):
        return None
    linear = imagecodecs.cms_profile("gray", whitepoint=(*_D65, 1.0), gamma=1.0)
    ramp = np.repeat(np.rint(np.linspace(0, 65535, 4096)).astype(np.uint16)[:, None], 3, 1)[None]
    light = imagecodecs.cms_transform(ramp, icc, linear, colorspace="rgb", outcolorspace="gray")
    return _dated(imagecodecs.cms_profile("gray", whitepoint=(*_D65, 1.0), transferfunction=np.ascontiguousarray(light.ravel())))


def sound(icc: bytes) -> bool:
    """Whether a colour engine can read the profile."""
    try:
        imagecodecs.cms_profile_validate(icc)
    except (ValueError, RuntimeError):
        return False
    return len(icc) >= 128 and icc[36:40] == b"acsp"


def shows_srgb(icc: bytes, *, gray: bool) -> bool:
    """Whether colours look the same without the profile; False where the engine cannot apply it."""
    mode = "L" if gray else "RGB"
    if gray:
        samples = np.arange(0, 256, 5, dtype=np.uint8)[None]
    else:
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        samples = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        turn = ImageCms.buildTransform(source, target, mode, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
        made = np.asarray(ImageCms.applyTransform(Image.fromarray(samples), turn))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    expected = samples[..., None] if gray else samples
    return bool(np.abs(made.astype(int) - expected).max() <= 3)
