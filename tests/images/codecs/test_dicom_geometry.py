"""Places and sizes in DICOM after enlarging: every point of the patient stays under the same point of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_samples import dataset, enlarged, item, items, save
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    RTImageStorage,
    UltrasoundImageStorage,
    VLWholeSlideMicroscopyImageStorage,
    XRayAngiographicImageStorage,
)

from restore.images import ImageError

_random = np.random.default_rng(8)
SIZES = [(60, 80, 2, 120, 160), (60, 80, 3, 180, 240), (61, 83, 4, 244, 332), (61, 83, 1.5, 92, 124)]
"""Height, width, scale, and the new height and width; the last is rounded."""


def gray(height: int, width: int, frames: int = 0) -> np.ndarray:
    return _random.integers(0, 4096, (frames, height, width) if frames else (height, width), dtype=np.uint16)


def large(ds: Dataset, tmp_path: Path, size: tuple[int, int, float, int, int]) -> Dataset:
    return enlarged(save(ds, tmp_path / "a.dcm"), tmp_path / "out", size[3], size[4], size[2])


def border(index: float, *, first: bool, counted_from: int) -> float:
    """Where the outer border of a pixel lies, in pixels from the picture's edge."""
    return index - counted_from + (0 if first else 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bounds", [(8, 4, 67, 50), (0, 0, 79, 59), (33, 21, 40, 55)])
def test_ultrasound_regions(bounds: tuple[int, int, int, int], size: Any, tmp_path: Path) -> None:
    left, top, right, bottom = bounds
    tied = {"ReferencePixelPhysicalValueX": 1.5, "ReferencePixelPhysicalValueY": -2.0}
    places = {
        "RegionLocationMinX0": left,
        "RegionLocationMinY0": top,
        "RegionLocationMaxX1": right,
        "RegionLocationMaxY1": bottom,
    }
    more = {"PhysicalDeltaX": 0.02, "PhysicalDeltaY": -0.05, "ReferencePixelX0": 30, "ReferencePixelY0": -7}
    lines = {"TMLinePositionX0": 4, "TMLinePositionY1": 21, "DopplerSampleVolumeXPosition": 9}
    old = item(**places, **more, **tied, **lines, PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3)
    ds = dataset(gray(size[0], size[1]), sop_class=UltrasoundImageStorage, SequenceOfUltrasoundRegions=items(old))
    before = {element.keyword: element.value for element in old}
    new = large(ds, tmp_path, size).SequenceOfUltrasoundRegions[0]
    ratio = {"X": size[4] / size[1], "Y": size[3] / size[0]}
    for axis, ends in (("X", ("MinX0", "MaxX1")), ("Y", ("MinY0", "MaxY1"))):
        for name, first in zip(ends, (True, False), strict=True):
            exact = border(before[f"RegionLocation{name}"], first=first, counted_from=0) * ratio[axis]
            found = border(new[f"RegionLocation{name}"].value, first=first, counted_from=0)
            assert found == exact if size[2] != 1.5 else abs(found - exact) <= 0.5
        assert np.isclose(new[f"PhysicalDelta{axis}"].value, before[f"PhysicalDelta{axis}"] / ratio[axis])

        def physical(region: Any, place: float, axis: str = axis) -> float:
            """The physical value at a place of the picture, in pixels from its edge, by the header alone."""
            centre = region[f"RegionLocationMin{axis}0"] + region[f"ReferencePixel{axis}0"] + 0.5
            return region[f"ReferencePixelPhysicalValue{axis}"] + (place - centre) * region[f"PhysicalDelta{axis}"]

        after = {element.keyword: element.value for element in new}
        for place in (0.0, 13.5, 55.0):
            assert np.isclose(physical(after, place * ratio[axis]), physical(before, place))
    assert new.TMLinePositionX0 == round(4 * ratio["X"]) and abs(new.TMLinePositionY1 - 21 * ratio["Y"]) <= 0.5
    assert abs(new.DopplerSampleVolumeXPosition - 9 * ratio["X"]) <= 0.5 and new.PhysicalUnitsXDirection == 3


@pytest.mark.parametrize("size", SIZES[:3])
def test_a_reference_pixel_without_value_stays_nearest(size: Any, tmp_path: Path) -> None:
    region = item(RegionLocationMinX0=8, RegionLocationMinY0=4, RegionLocationMaxX1=60, RegionLocationMaxY1=50)
    region.ReferencePixelX0, region.ReferencePixelY0, region.PhysicalDeltaX, region.PhysicalDeltaY = 40, 0, 0.02, 0.02
    new = large(dataset(gray(size[0], size[1]), SequenceOfUltrasoundRegions=items(region)), tmp_path, size)
    scale = size[2]
    for found, old in (
        (new.SequenceOfUltrasoundRegions[0].ReferencePixelX0, 40),
        (new.SequenceOfUltrasoundRegions[0].ReferencePixelY0, 0),
    ):
        assert abs(found + 0.5 - (old + 0.5) * scale) <= 0.5


EDGES = {
    "LeftVerticalEdge": (1, True),
    "RightVerticalEdge": (1, False),
    "UpperHorizontalEdge": (0, True),
    "LowerHorizontalEdge": (0, False),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("edges", [(10, 70, 5, 55), (1, 80, 1, 60), (23, 24, 17, 51)])
def test_shutters_and_collimators(edges: tuple[int, int, int, int], size: Any, tmp_path: Path) -> None:
    left = edges[0]
    ds = dataset(gray(size[0], size[1]), sop_class=XRayAngiographicImageStorage)
    ds.ShutterShape, ds.CollimatorShape = ["RECTANGULAR", "CIRCULAR", "POLYGONAL"], "RECTANGULAR"
    for shape in ("Shutter", "Collimator"):
        for edge, value in zip(EDGES, edges, strict=True):
            setattr(ds, shape + edge, value)
        setattr(ds, f"CenterOfCircular{shape}", [28, 41])
        setattr(ds, f"RadiusOfCircular{shape}", 25)
        setattr(ds, f"VerticesOfThePolygonal{shape}", [3, 4, 50, 70, 11, 60])
    sensing = item(ExposureControlSensingRegionShape="RECTANGULAR", ExposureControlSensingRegionLeftVerticalEdge=left)
    sensing.CenterOfCircularExposureControlSensingRegion, sensing.RadiusOfCircularExposureControlSensingRegion = (
        [12, 13],
        7,
    )
    ds.ExposureControlSensingRegionsSequence = items(sensing)
    frame = item(ShutterLeftVerticalEdge=left, ShutterShape="RECTANGULAR")
    ds.SharedFunctionalGroupsSequence = items(item(FrameDisplayShutterSequence=items(frame)))
    new = large(ds, tmp_path, size)
    ratio = size[3] / size[0], size[4] / size[1]
    within = 0.5 if size[2] == 1.5 else 0
    for shape in ("Shutter", "Collimator"):
        for edge, value in zip(EDGES, edges, strict=True):
            axis, first = EDGES[edge]
            exact = border(value, first=first, counted_from=1) * ratio[axis]
            assert abs(border(new[shape + edge].value, first=first, counted_from=1) - exact) <= within
        points = [*new[f"CenterOfCircular{shape}"].value, *new[f"VerticesOfThePolygonal{shape}"].value]
        for at, (found, old) in enumerate(zip(points, [28, 41, 3, 4, 50, 70, 11, 60], strict=True)):
            assert abs(found - 0.5 - (old - 0.5) * ratio[at % 2]) <= 0.5
        assert abs(new[f"RadiusOfCircular{shape}"].value - 25 * ratio[1]) <= 0.5
    region = new.ExposureControlSensingRegionsSequence[0]
    assert region.ExposureControlSensingRegionLeftVerticalEdge == new.ShutterLeftVerticalEdge
    assert abs(region.RadiusOfCircularExposureControlSensingRegion - 7 * ratio[1]) <= 0.5
    shutter = new.SharedFunctionalGroupsSequence[0].FrameDisplayShutterSequence[0]
    assert shutter.ShutterLeftVerticalEdge == new.ShutterLeftVerticalEdge


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("spacing", "turn"), [((0.4, 0.4), 0), ((0.7, 0.3), 30), ((0.9, 0.5), -75)])
def test_a_point_in_the_patient_stays(spacing: tuple[float, float], turn: float, size: Any, tmp_path: Path) -> None:
    """Position and orientation, PS3.3 C.7.6.2.1.1, in all the places where they may live."""
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    orientation, position = [float(f"{v:.10g}") for v in (c, s, 0, -s, c, 0)], [-90.5, 12.25, 7.0]

    def corners(position: Any, orientation: Any, spacing: Any, height: int, width: int) -> np.ndarray:
        along, down = np.reshape(np.array(orientation, float), (2, 3))
        rows, columns = (float(v) for v in spacing)
        first = np.array(position, float) - (along * columns + down * rows) / 2
        return np.stack([first, first + along * columns * width, first + down * rows * height])

    expected = corners(position, orientation, spacing, size[0], size[1])
    groups = {
        "position": lambda: ("PlanePositionSequence", item(ImagePositionPatient=position)),
        "orientation": lambda: ("PlaneOrientationSequence", item(ImageOrientationPatient=orientation)),
        "spacing": lambda: ("PixelMeasuresSequence", item(PixelSpacing=list(spacing))),
    }
    for kind, homes in enumerate(("000", "fss", "sss", "fff", "ffs", "sfs", "fs0", "ss0")):
        ds = dataset(gray(size[0], size[1], 2), sop_class=EnhancedCTImageStorage)
        shared, frames = Dataset(), [Dataset(), Dataset()]
        for home, group in zip(homes, groups.values(), strict=True):
            for place in {"0": [ds], "s": [shared], "f": frames}[home]:
                keyword, content = group()
                if home == "0":
                    place.update(content)
                else:
                    setattr(place, keyword, items(content))
        ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = items(shared), items(*frames)
        new = large(ds, tmp_path / str(kind) if (tmp_path / str(kind)).mkdir() is None else tmp_path, size)

        def look(keyword: str, new: Dataset = new) -> Any:
            for place in (new, new.SharedFunctionalGroupsSequence[0], new.PerFrameFunctionalGroupsSequence[1]):
                for part in [place, *(e.value[0] for e in place if e.VR == "SQ" and e.value)]:
                    if keyword in part:
                        return part[keyword].value
            raise AssertionError(keyword)

        found = corners(look("ImagePositionPatient"), look("ImageOrientationPatient"), look("PixelSpacing"), size[3], size[4])
        assert np.allclose(found, expected, atol=1e-5), homes


@pytest.mark.parametrize("size", SIZES)
def test_sizes_of_pixels(size: Any, tmp_path: Path) -> None:
    """What is the detector's, or in millimetres, stays."""
    stays: dict[str, Any] = {
        "DetectorElementSpacing": [0.1, 0.1], "FieldOfViewDimensions": [430], "FieldOfViewOrigin": [3, 4], "DetectorBinning": [2, 2],
        "EstimatedRadiographicMagnificationFactor": 1.5, "PixelAspectRatio": [1, 1], "SliceThickness": 2.5,
        "PixelSpacingCalibrationType": "FIDUCIAL", "AcquisitionMatrix": [60, 0, 0, 80], "ReconstructionDiameter": 300,
    }  # fmt: skip
    goes = {"PixelSpacing": [0.7, 0.3], "ImagerPixelSpacing": [0.15, 0.2], "NominalScannedPixelSpacing": [0.1, 0.1]}
    icon = dataset(np.zeros((8, 8), np.uint8), PixelSpacing=[9, 9])
    source = item(ReferencedSOPInstanceUID="1.2.3", ReferencedSOPClassUID=CTImageStorage, PixelSpacing=[8, 8])
    ds = dataset(gray(size[0], size[1]), sop_class=DigitalXRayImageStorageForPresentation, **stays, **goes)
    ds.IconImageSequence, ds.ReferencedImageSequence = items(icon), items(source)
    data = item(ImagerPixelSpacing=[0.4, 0.4], ObjectPixelSpacingInCenterOfBeam=[0.2, 0.3])
    ds.SharedFunctionalGroupsSequence = items(item(FramePixelDataPropertiesSequence=items(data)))
    ds.MaskSubtractionSequence = items(item(MaskOperation="AVG_SUB", MaskSubPixelShift=[0.5, -1.25]))
    new = large(ds, tmp_path, size)
    ratio = np.array([size[3] / size[0], size[4] / size[1]])
    for keyword, value in goes.items():
        assert np.allclose(np.array(new[keyword].value, float), np.array(value) / ratio)
    for keyword, value in stays.items():
        found = new[keyword].value
        assert (list(found) if isinstance(value, list) and len(value) > 1 else [found]) == (value if isinstance(value, list) else [value])
    assert list(new.IconImageSequence[0].PixelSpacing) == [9, 9] and list(new.ReferencedImageSequence[0].PixelSpacing) == [8, 8]
    data = new.SharedFunctionalGroupsSequence[0].FramePixelDataPropertiesSequence[0]
    assert np.allclose(np.array(data.ImagerPixelSpacing, float), 0.4 / ratio)
    assert np.allclose(data.ObjectPixelSpacingInCenterOfBeam, np.array([0.2, 0.3]) / ratio)
    assert np.allclose(new.MaskSubtractionSequence[0].MaskSubPixelShift, np.array([0.5, -1.25]) * ratio)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("orientation", [None, [1, 0, 0, 0, -1, 0], [-1, 0, 0, 0, 1, 0]])
def test_radiotherapy_images(orientation: list[int] | None, size: Any, tmp_path: Path) -> None:
    tags: dict[str, Any] = {
        "ImagePlanePixelSpacing": [0.4, 0.25],
        "RTImagePosition": [-19.5, 11.75],
        "RTImageSID": 1000,
    }
    if orientation:
        tags["RTImageOrientation"] = orientation
    new = large(dataset(gray(size[0], size[1]), sop_class=RTImageStorage, **tags), tmp_path, size)
    rows, columns = (float(v) for v in new.ImagePlanePixelSpacing)
    assert np.allclose([rows * size[3], columns * size[4]], [0.4 * size[0], 0.25 * size[1]]), "the same plane"
    right, down = (orientation or [1, 0, 0, 0, -1, 0])[0], (orientation or [1, 0, 0, 0, -1, 0])[4]
    x, y = (float(v) for v in new.RTImagePosition)
    assert np.isclose(x - right * columns / 2, -19.5 - right * 0.25 / 2), "its corner"
    assert np.isclose(y - down * rows / 2, 11.75 - down * 0.4 / 2)
    assert new.RTImageSID == 1000


@pytest.mark.parametrize("size", SIZES[:3])
def test_slides(size: Any, tmp_path: Path) -> None:
    height, width, scale = size[:3]
    tiles = [item(PlanePositionSlideSequence=items(item(
        RowPositionInTotalImagePixelMatrix=1, ColumnPositionInTotalImagePixelMatrix=1 + width * at,
        XOffsetInSlideCoordinateSystem=20.0, YOffsetInSlideCoordinateSystem=40.0 - 0.0005 * width * at, ZOffsetInSlideCoordinateSystem=0.0,
    ))) for at in range(2)]  # fmt: skip
    rgb = np.repeat(gray(height, width, 2)[..., None] >> 4, 3, -1).astype(np.uint8)
    ds = dataset(
        rgb,
        sop_class=VLWholeSlideMicroscopyImageStorage,
        TotalPixelMatrixColumns=2 * width,
        TotalPixelMatrixRows=height,
    )
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight, ds.ImageOrientationSlide = 15.0, 7.5, [0, -1, 0, -1, 0, 0]
    ds.TotalPixelMatrixOriginSequence = items(item(XOffsetInSlideCoordinateSystem=20.0, YOffsetInSlideCoordinateSystem=40.0))
    measures = item(PixelSpacing=[0.0005, 0.0005])
    ds.SharedFunctionalGroupsSequence = items(item(PixelMeasuresSequence=items(measures)))
    ds.PerFrameFunctionalGroupsSequence = items(*tiles)
    new = large(ds, tmp_path, size)
    assert (new.TotalPixelMatrixColumns, new.TotalPixelMatrixRows) == (2 * width * scale, height * scale)
    assert (new.ImagedVolumeWidth, new.ImagedVolumeHeight) == (15.0, 7.5)
    spacing = [float(v) for v in new.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing]
    assert np.allclose(spacing, 0.0005 / scale)
    moved = (0.0005 - spacing[0]) / 2
    for at, group in enumerate(new.PerFrameFunctionalGroupsSequence):
        place = group.PlanePositionSlideSequence[0]
        assert place.RowPositionInTotalImagePixelMatrix == 1
        assert place.ColumnPositionInTotalImagePixelMatrix == 1 + width * scale * at
        assert np.isclose(float(place.XOffsetInSlideCoordinateSystem), 20 + moved, atol=1e-9)
        assert np.isclose(float(place.YOffsetInSlideCoordinateSystem), 40 - 0.0005 * width * at + moved, atol=1e-9)
        assert float(place.ZOffsetInSlideCoordinateSystem) == 0
    origin = new.TotalPixelMatrixOriginSequence[0]
    assert np.isclose(float(origin.XOffsetInSlideCoordinateSystem), 20 + moved, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_overlays(embedded: bool, big: bool, size: Any, tmp_path: Path) -> None:
    height, width = size[:2]
    plane = np.zeros((height, width), np.uint8)
    plane[10:30, 20:50] = 1
    words = gray(height, width)
    ds = dataset(words | (plane.astype(np.uint16) << 14) if embedded else words, bits=12)
    for number, vr, value in ((0x10, "US", height), (0x11, "US", width), (0x40, "CS", "R"), (0x50, "SS", [1, 1])):
        ds.add_new((0x6000, number), vr, value)
    ds.add_new((0x6000, 0x100), "US", 16 if embedded else 1)
    ds.add_new((0x6000, 0x102), "US", 14 if embedded else 0)
    ds.add_new((0x6000, 0x1301), "IS", 600)
    if not embedded:
        packed = np.packbits(plane.ravel(), bitorder="little").tobytes()
        packed += b"\0" * (len(packed) % 2)
        ds.add_new((0x6000, 0x3000), "OW", np.frombuffer(packed, np.uint16).byteswap().tobytes() if big else packed)
    if big:
        ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    new = large(ds, tmp_path, size)
    ratio = size[3] / size[0], size[4] / size[1]
    assert (new[0x6000, 0x10].value, new[0x6000, 0x11].value, list(new[0x6000, 0x50].value)) == (
        size[3],
        size[4],
        [1, 1],
    )
    if embedded:
        found = np.frombuffer(new.PixelData, ">u2" if big else "<u2")[: size[3] * size[4]].reshape(size[3], size[4]) >> 14
    else:
        data = new[0x6000, 0x3000].value
        bits = np.unpackbits(np.frombuffer(np.frombuffer(data, np.uint16).byteswap() if big else data, np.uint8), bitorder="little")
        found = bits[: size[3] * size[4]].reshape(size[3], size[4])
        assert big or np.array_equal(found, new.overlay_array(0x6000))
    top, left = np.argwhere(found).min(0)
    bottom, right = np.argwhere(found).max(0) + 1
    assert np.allclose([top, left, bottom, right], np.array([10, 20, 30, 50]) * np.tile(ratio, 2), atol=0.5)
    assert abs(int(new[0x6000, 0x1301].value) - 600 * ratio[0] * ratio[1]) <= 0.5


def test_nuclear_medicine_detectors(tmp_path: Path) -> None:
    detector = item(ImagePositionPatient=[-100.0, -50.0, 9.0], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    ds = dataset(gray(60, 80), PixelSpacing=[4.0, 2.0], DetectorInformationSequence=items(detector))
    new = large(ds, tmp_path, (60, 80, 2, 120, 160))
    assert [float(v) for v in new.DetectorInformationSequence[0].ImagePositionPatient] == [-100.5, -50.0, 10.0]


def test_pictures_of_the_same_size_keep_their_geometry(tmp_path: Path) -> None:
    ds = dataset(gray(60, 80), PixelSpacing=["0.70", "0.30"], ShutterLeftVerticalEdge=7)
    new = large(ds, tmp_path, (60, 80, 1, 60, 80))
    assert [value.original_string for value in new.PixelSpacing] == [
        "0.70",
        "0.30",
    ] and new.ShutterLeftVerticalEdge == 7
    assert "DerivationCodeSequence" not in new


def test_geometry_that_is_no_number_is_refused_by_name_where_it_must_follow(tmp_path: Path) -> None:
    path = save(dataset(gray(60, 80), PixelSpacing=["1.25", "2.75"]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.25\\2.75", b"1,25\\2.75"))
    enlarged_to = tmp_path / "same"
    large_size = enlarged(path, enlarged_to, 60, 80, 1)
    assert large_size.Rows == 60
    with pytest.raises(ImageError, match=r"a\.dcm: damaged DICOM header: PixelSpacing .*1,25.*dcmodify"):
        enlarged(path, tmp_path / "out", 120, 160, 2)
