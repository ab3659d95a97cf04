"""The position of a DICOM picture's first pixel in the body, on the slide or on the receptor, for pixels that are finer.

All positions are those of the first pixel's centre, which moves towards the picture's corner.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from restore.images.codecs.dicom.elements import Scale, moved


def move_positions(ds: FileDataset, scale: Scale) -> None:
    """Move all positions of first pixels by the difference between half an old and half a new pixel."""
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])[:1]
    frames = list(ds.get("PerFrameFunctionalGroupsSequence") or [])
    for item in ds.get("DetectorInformationSequence") or []:
        _move(item, "ImagePositionPatient", [item, ds], scale)
    _move_plane(ds, [ds, *shared], scale)
    for group in shared:
        _move_groups(group, [group, ds, *frames[:1]], scale)
    for group in frames:
        _move_groups(group, [group, *shared, ds], scale)
    _move_slide(ds.get("TotalPixelMatrixOriginSequence") or [], [*shared, *frames[:1], ds], scale)
    _move_receptor(ds, scale)


def _move_plane(part: Dataset, places: list[Dataset], scale: Scale) -> None:
    for keyword in ("ImagePositionPatient", "ImagePositionVolume"):
        _move(part, keyword, places, scale)


def _move_groups(group: Dataset, places: list[Dataset], scale: Scale) -> None:
    """The positions in one frame's functional groups, or in the shared ones."""
    for sequence in ("PlanePositionSequence", "PlanePositionVolumeSequence"):
        for item in group.get(sequence) or []:
            _move_plane(item, places, scale)
    _move_slide(group.get("PlanePositionSlideSequence") or [], places, scale)


def _found(places: list[Dataset], sequences: tuple[str, ...], keywords: tuple[str, ...], count: int) -> list[float] | None:
    """The numbers of the first of these elements that is found in a dataset or its functional groups."""
    for place in places:
        for part in [place, *(item for sequence in sequences for item in place.get(sequence) or [])]:
            for keyword in keywords:
                value = part.get(keyword)
                if value is not None and not isinstance(value, str) and hasattr(value, "__len__") and len(value) == count:
                    return [float(number) for number in value]
    return None


def _half_pixel(orientation: list[float], spacing: list[float], scale: Scale) -> np.ndarray:
    """From the centre of the first old pixel to that of the first finer one, in the coordinates of the orientation."""
    along, down = np.reshape(orientation, (2, 3))
    rows, columns = spacing
    shift: np.ndarray = (0.5 / scale.columns - 0.5) * columns * along + (0.5 / scale.rows - 0.5) * rows * down
    return shift


def _move(part: Dataset, keyword: str, places: list[Dataset], scale: Scale) -> None:
    """Move a position in the patient or in a volume; one without orientation or spacing stays."""
    if keyword not in part:
        return
    orientations = ("ImageOrientationPatient",) if keyword.endswith("Patient") else ("ImageOrientationVolume",)
    orientation = _found(places, ("PlaneOrientationSequence", "PlaneOrientationVolumeSequence"), orientations, 6)
    spacing = _found(places, ("PixelMeasuresSequence",), ("PixelSpacing",), 2)
    if orientation is None or spacing is None:
        return
    shift = _half_pixel(orientation, spacing, scale)
    moved(part, keyword, shift)


def _move_slide(items: list[Dataset], places: list[Dataset], scale: Scale) -> None:
    """Move offsets on a slide (C.8.12.4.1.4), in millimetres like the spacing."""
    orientation = _found(places, (), ("ImageOrientationSlide",), 6)
    spacing = _found(places, ("PixelMeasuresSequence",), ("PixelSpacing",), 2)
    if orientation is None or spacing is None:
        return
    shift = _half_pixel(orientation, spacing, scale)
    for item in items:
        for axis, name in enumerate("XYZ"):
            if shift[axis]:
                moved(item, f"{name}OffsetInSlideCoordinateSystem", shift[axis:])


def _move_receptor(ds: Dataset, scale: Scale) -> None:
    """Move RTImagePosition (C.8.8.2), in the plane of the image receptor, whose y axis points up by default."""
    spacing = _found([ds], (), ("ImagePlanePixelSpacing",), 2)
    if spacing is None:
        return
    orientation = _found([ds], (), ("RTImageOrientation",), 6) or [1, 0, 0, 0, -1, 0]
    shift = _half_pixel(orientation, spacing, scale)
    moved(ds, "RTImagePosition", shift)
