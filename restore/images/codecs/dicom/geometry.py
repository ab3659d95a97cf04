"""Positions and sizes in a DICOM header, for pixels that are finer (PS3.3).

`refine` follows every element that is counted in pixels of the picture, or that says how large or where its pixels are:

- the size of pixels: PixelSpacing, ImagerPixelSpacing, NominalScannedPixelSpacing, ImagePlanePixelSpacing,
  ObjectPixelSpacingInCenterOfBeam, ReconstructionPixelSpacing, ALinePixelSpacing; ultrasound's PhysicalDelta;
- the place of the first pixel, which is its centre and so moves towards the corner: ImagePositionPatient, ImagePositionVolume,
  RTImagePosition, offsets on a slide, RowPosition and ColumnPosition in the total pixel matrix;
- places among the pixels: ultrasound regions, display shutters, collimators, sensing regions, overlays, pixel shifts, the
  size of the total pixel matrix.

Wherever these live: in the dataset or its sequences, in shared or per-frame functional groups; orientation and spacing of a
position are looked up in the frame's own groups, then in the shared ones, then in the dataset. Sequences that speak of other
pictures (icons, referenced and source images, original attributes, the projections behind a tomosynthesis) stay.

Stay as they are: sizes in millimetres (FieldOfViewDimensions, ReconstructionDiameter, ImagedVolumeWidth, SliceThickness),
what the detector is (DetectorElementSpacing, DetectorBinning, DetectorActiveOrigin, FieldOfViewOrigin: counted in the
detector's own elements, of which there are no more than before), AcquisitionMatrix, PixelAspectRatio,
EstimatedRadiographicMagnificationFactor, and the kind of calibration.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.dataset import Dataset, FileDataset

from restore.images.codecs.dicom.elements import Scale, numbers, scaled, to_integer
from restore.images.codecs.dicom.header import check_numbers
from restore.images.codecs.dicom.positions import move_positions

_SPACINGS = (
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "ImagePlanePixelSpacing"),
    *("ObjectPixelSpacingInCenterOfBeam", "ReconstructionPixelSpacing"),
)
"""Of rows and of columns, in millimetres."""
_EDGES = {
    "LeftVerticalEdge": (1, 1),
    "UpperHorizontalEdge": (0, 1),
    "RightVerticalEdge": (1, 0),
    "LowerHorizontalEdge": (0, 0),
}
"""The first or last row (axis 0) or column (1) inside, counted from 1: its axis, and its number at the picture's border.

The outer border of the first column is the picture's border, so 1 stays 1. The outer border of the last column is at its number, which
grows with the scale.
"""
_EDGED = ("Shutter", "Collimator", "ExposureControlSensingRegion")
_POINTS = (
    *("CenterOfCircularShutter", "CenterOfCircularCollimator", "CenterOfCircularExposureControlSensingRegion"),
    *("VerticesOfThePolygonalShutter", "VerticesOfThePolygonalCollimator"),
    *("VerticesOfThePolygonalExposureControlSensingRegion", "VerticesOfTheRegion"),
)
"""Rows and columns of pixels in turn, counted from 1."""
_RADII = ("RadiusOfCircularShutter", "RadiusOfCircularCollimator", "RadiusOfCircularExposureControlSensingRegion")
_OTHERS = (
    *("IconImageSequence", "SourceImageSequence", "OriginalAttributesSequence", "DerivationImageSequence"),
    *(
        "ContributingSourcesSequence",
        "XRay3DAcquisitionSequence",
        "ModifiedAttributesSequence",
        "OphthalmicFrameLocationSequence",
    ),
)
"""Sequences that describe other pictures; so do those whose names begin with Referenced."""
_CHECKED = (
    *_SPACINGS,
    *_POINTS,
    *_RADII,
    *(shape + edge for shape in _EDGED for edge in _EDGES),
    *(
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "ImageOrientationSlide",
        "RTImagePosition",
        "RTImageOrientation",
    ),
    *("XOffsetInSlideCoordinateSystem", "YOffsetInSlideCoordinateSystem", "ZOffsetInSlideCoordinateSystem"),
)


def refine(path: Path, ds: FileDataset, old: tuple[int, int]) -> None:
    """Adapt the elements of `ds` to its new Rows and Columns; `old` are the (rows, columns) that they describe.

    Raises:
        ImageError: an element that has to follow is no number.
    """
    scale = Scale(int(ds.Rows) / old[0], int(ds.Columns) / old[1])
    if scale == Scale(1, 1):
        return
    parts = list(_parts(ds))
    for part in parts:
        check_numbers(path, part, _CHECKED)
    move_positions(ds, scale)  # by the spacing as it was
    for part in parts:
        _spacing(part, scale)
        _regions(part, scale)
        _shutters(part, scale)
        _matrix(part, scale)
    for group in {tag.group for tag in ds.keys() if 0x6000 <= tag.group <= 0x601E}:  # noqa: SIM118 (as below)
        _overlay(ds, group, scale)


def _parts(ds: Dataset) -> Iterator[Dataset]:
    """The dataset, and all items of its sequences that describe this picture."""
    yield ds
    for tag in list(ds.keys()):  # iterating over the dataset would decode all elements, also those that can't be
        if tag.is_private or not dictionary_has_tag(tag) or dictionary_VR(tag) != "SQ":
            continue
        name = dictionary_keyword(tag)
        if name not in _OTHERS and not name.startswith("Referenced") and ds[tag].VR == "SQ":
            for item in ds[tag].value:
                yield from _parts(item)


def _spacing(part: Dataset, scale: Scale) -> None:
    for keyword in _SPACINGS:
        scaled(part, keyword, 1 / scale.rows, 1 / scale.columns)
    scaled(part, "ALinePixelSpacing", 1 / scale.columns)
    scaled(part, "MaskSubPixelShift", scale.rows, scale.columns)


def _regions(part: Dataset, scale: Scale) -> None:
    """An ultrasound region (C.8.5.5): its bounds are pixels counted from 0, all else is counted from its reference pixel."""
    if "RegionLocationMinX0" not in part:
        return
    for axis, name in ((1, "X"), (0, "Y")):
        factor = scale.of(axis)
        start = next(iter(numbers(part, f"RegionLocationMin{name}0")), 0.0)
        scaled(part, f"RegionLocationMin{name}0", factor)
        scaled(part, f"RegionLocationMax{name}1", factor, origin=-1)
        _reference(part, name, factor, start)
        scaled(part, f"PhysicalDelta{name}", 1 / factor)
        for keyword in (f"TMLinePosition{name}0", f"TMLinePosition{name}1", f"DopplerSampleVolume{name}Position"):
            scaled(part, keyword, factor)


def _reference(part: Dataset, name: str, factor: float, start: float) -> None:
    """The reference pixel, counted from the region's first one. `start` is the region's old first pixel.

    Its centre lies between finer pixels. Its physical value, where present, is corrected by the distance of the nearest pixel, so that no
    measurement shifts.
    """
    keyword, value_keyword = f"ReferencePixel{name}0", f"ReferencePixelPhysicalValue{name}"
    old, delta, value = numbers(part, keyword), numbers(part, f"PhysicalDelta{name}"), numbers(part, value_keyword)
    if not old:
        return
    exact = (start + old[0] + 0.5) * factor - 0.5 - next(iter(numbers(part, f"RegionLocationMin{name}0")), 0.0)
    if value and delta:
        nearest = to_integer(old[0] * factor, "SL")
        part[value_keyword].value = value[0] + (nearest - exact) * delta[0] / factor
    else:
        nearest = math.ceil(exact - 0.5)
    part[keyword].value = nearest


def _shutters(part: Dataset, scale: Scale) -> None:
    """Display shutters (C.7.6.11), collimators (C.8.7.3) and sensing regions (C.8.19.3): pixels counted from 1."""
    for shape in _EDGED:
        for edge, (axis, origin) in _EDGES.items():
            scaled(part, shape + edge, scale.of(axis), origin=origin)
    for keyword in _POINTS:
        scaled(part, keyword, scale.rows, scale.columns, origin=0.5)
    for keyword in _RADII:
        scaled(part, keyword, scale.columns)


def _matrix(part: Dataset, scale: Scale) -> None:
    """The total pixel matrix of a slide (C.8.12.4), and a tile's position in it, counted from 1."""
    for axis, name in ((0, "Row"), (1, "Column")):
        scaled(part, f"TotalPixelMatrix{name}s", scale.of(axis))
        scaled(part, f"{name}PositionInTotalImagePixelMatrix", scale.of(axis), origin=1)


def _overlay(ds: Dataset, group: int, scale: Scale) -> None:
    """Enlarge one overlay plane (C.9.2) by the nearest bit; one within the pixels' words is enlarged with them."""
    rows, columns, data = (ds.get((group, number)) for number in (0x0010, 0x0011, 0x3000))
    if rows is None or columns is None:
        return
    height, width = int(rows.value), int(columns.value)
    size = round(height * scale.rows), round(width * scale.columns)
    if data is not None:
        swapped = data.VR == "OW" and ds.original_encoding[1] is False  # words in the file's byte order
        packed = _enlarged(_swapped(data.value) if swapped else data.value, _frames_of(ds, group), (height, width), size)
        if packed is None:
            return
        data.value = _swapped(packed) if swapped else packed
    rows.value, columns.value = size
    if (group, 0x0050) in ds:  # the plane's first place, counted from 1
        ds[group, 0x0050].value = [to_integer((value - 1) * scale.of(axis) + 1, "SS") for axis, value in enumerate(ds[group, 0x0050].value)]
    if (group, 0x1301) in ds and ds[group, 0x1301].value:  # pixels in a region of interest
        ds[group, 0x1301].value = round(int(ds[group, 0x1301].value) * scale.rows * scale.columns)


def _frames_of(ds: Dataset, group: int) -> int:
    return int(ds[group, 0x0015].value) if (group, 0x0015) in ds else 1


def _swapped(data: bytes) -> bytes:
    return np.frombuffer(data[: len(data) // 2 * 2], np.uint16).byteswap().tobytes()


def _enlarged(data: bytes, frames: int, old: tuple[int, int], new: tuple[int, int]) -> bytes | None:
    """The resampled bits of planes; None where some are missing."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    count = frames * old[0] * old[1]
    if len(bits) < count:
        return None
    planes = bits[:count].reshape(frames, *old)
    at = [((np.arange(to) + 0.5) * before / to).astype(np.intp) for to, before in zip(new, old, strict=True)]
    packed = np.packbits(planes[:, at[0][:, None], at[1]], bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)
