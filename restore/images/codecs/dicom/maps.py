r"""A map of a picture's error as a derived DICOM object.

It has the class, the patient, the study and the geometry of its source, and its own SOPInstanceUID. It belongs to a series of its own,
which holds all maps of that kind from one series, so that no viewer stacks it with pictures. Its pixels are gray and unsigned; RescaleSlope
gives the error in the source's modality values (its stored values where a lookup table maps them). Elements that describe the source's
samples (windows, lookup tables, padding, overlays) are left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence as Pages
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pydicom.valuerep import DSfloat

from restore.images.codecs.dicom.derived import derive
from restore.images.codecs.dicom.geometry import refine
from restore.images.codecs.dicom.values import rescale_slope
from restore.images.metadata import MapInfo, Provenance

_OF_THE_SAMPLES = (
    "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit", "SmallestImagePixelValue", "LargestImagePixelValue",
    "ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction", "WindowCenterWidthExplanation", "RealWorldValueMappingSequence",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData",
    "PixelIntensityRelationship", "PixelIntensityRelationshipSign", "IconImageSequence", "SeriesNumber", "DigitalSignaturesSequence",
    "MACParametersSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "ICCProfile",
)  # fmt: skip
_OF_THE_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "RealWorldValueMappingSequence")
_OVERLAYS = range(0x6000, 0x6100)


def write(path: Path, ds: FileDataset, pages: Pages[np.ndarray], info: MapInfo, *, source: Path) -> None:
    """Turn the dataset `ds` of the file `source` into its map and write it at `path`. ImageError as `refine` says.

    Args:
        pages: (H, W) uint8 or uint16, one for each frame.
        info: what it shows.
    """
    table = bool(ds.get("ModalityLUTSequence"))
    slope = 1.0 if table else rescale_slope(ds)
    kind = "stored value" if table else str(ds.get("RescaleType") or "modality value")
    old_size = int(ds.Rows), int(ds.Columns)
    _forget(ds)
    big = ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian  # pydicom does not convert the other elements
    _set_pixels(ds, pages, ">" if big else "<")
    refine(source, ds, old_size)
    _set_unit(ds, abs(slope) / info.steps, max(1, *(int(page.max()) for page in pages)))
    scale = pages[0].shape[0] / old_size[0]
    derive(ds, Provenance(f"{info.text}; pixel x RescaleSlope is the error in units of the {kind}", scale=scale))
    series = f"{ds.get('SeriesInstanceUID') or ds.SOPInstanceUID}\0{info.meaning}"
    ds.SeriesInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, series).int}"
    ds.SeriesDescription = info.meaning[:64]
    meta = ds.file_meta
    meta.TransferSyntaxUID = ExplicitVRBigEndian if big else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID") or SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.preamble = b"\0" * 128
    ds.save_as(path, enforce_file_format=True, overwrite=True)


def _forget(ds: FileDataset) -> None:
    """Remove what describes the source's samples."""
    for keyword in _OF_THE_SAMPLES:
        if keyword in ds:
            delattr(ds, keyword)
    for tag in [tag for tag in ds.keys() if tag.group in _OVERLAYS]:  # noqa: SIM118 (iterating gives elements, and decodes them)
        del ds[tag]
    for groups in (*(ds.get("SharedFunctionalGroupsSequence") or []), *(ds.get("PerFrameFunctionalGroupsSequence") or [])):
        for keyword in _OF_THE_GROUPS:
            if keyword in groups:
                delattr(groups, keyword)


def _set_pixels(ds: FileDataset, pages: Pages[np.ndarray], order: Literal["<", ">"]) -> None:
    bits = 8 * pages[0].dtype.itemsize
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.Rows, ds.Columns = pages[0].shape
    data = b"".join(page.astype(page.dtype.newbyteorder(order), copy=False).tobytes() for page in pages)
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    ds["PixelData"].is_undefined_length = False


def _set_unit(ds: FileDataset, slope: float, largest: int) -> None:
    """The factor to modality values, and a window over all of them."""
    shared = ds.get("SharedFunctionalGroupsSequence")
    unit = Dataset()
    unit.RescaleIntercept, unit.RescaleSlope = DSfloat(0), DSfloat(slope, auto_format=True)
    unit.RescaleType = "US"
    window = Dataset()
    window.WindowCenter, window.WindowWidth = (DSfloat(part * largest * slope, auto_format=True) for part in (0.5, 1.0))
    if shared:
        shared[0].PixelValueTransformationSequence, shared[0].FrameVOILUTSequence = Sequence([unit]), Sequence([window])
    for element in (*unit, *window):
        if shared:
            ds.pop(element.tag, None)
        else:
            ds[element.tag] = element
    if "PresentationLUTShape" in ds:
        ds.PresentationLUTShape = "IDENTITY"
