"""All of pydicom's own test files: nothing changes where nothing was restored, or the file is refused in plain words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import decoded, unchanged

from restore.images import ImageError, read
from restore.images.codecs.dicom.codec import is_without_pixels
from restore.images.errors import quiet

ROOT = Path(pydicom.__file__).parent / "data"
"""Only what came with the installed package: pydicom's own functions would fetch more."""
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc", ".txt", ".md", ".json", ".dump", ".gz", ".icc", ".jpg")
)
JARGON = (
    "object has no attribute",
    "NoneType",
    "invalid literal",
    "unsupported operand",
    "out of bounds",
    "damaged or unsupported",
)


@pytest.mark.parametrize("name", FILES)
def test_nothing_changes_or_it_is_refused(name: str, tmp_path: Path) -> None:
    source, out = ROOT / name, tmp_path / "out"
    before = source.read_bytes()
    try:
        picture, new = unchanged(source, out)
    except ImageError as error:
        assert str(error).startswith(f"{source.name}: ") and not [word for word in JARGON if word in str(error)]
        assert not out.exists()
    else:
        frames = np.stack([picture.frame(index).stored for index in range(picture.frames)])
        assert new.SOPInstanceUID.is_valid and new.ImageType[0] == "DERIVED"
        written = np.stack([read(out).frame(index).stored for index in range(picture.frames)])
        if new.PhotometricInterpretation != "YBR_FULL_422":  # whose chroma is shared by two pixels
            assert np.array_equal(written, frames)
        try:
            expected = decoded(source)
        except RuntimeError:  # pydicom can't, restore can
            expected = frames.reshape(decoded(out).shape)
        assert np.array_equal(decoded(out), expected)
        assert is_without_pixels(source) is None
    assert source.read_bytes() == before


REFUSED = {
    *(
        "rtdose.dcm",
        "rtdose_1frame.dcm",
        "rtdose_expb.dcm",
        "rtdose_expb_1frame.dcm",
        "rtdose_rle.dcm",
        "rtdose_rle_1frame.dcm",
    ),
    *("liver_1frame.dcm", "liver_expb_1frame.dcm", "badVR.dcm", "MR_truncated.dcm", "no_meta.dcm"),
    "JPEG2000-embedded-sequence-delimiter.dcm",  # a made-up codestream, in which no decoder finds a picture
}
"""Doses, labels, damaged files."""


def test_all_others_are_read() -> None:
    """So that the test above can't pass by refusing."""
    for name in FILES:
        if _has_pixels(ROOT / name) and Path(name).name not in REFUSED:
            assert read(ROOT / name).frame(0).stored.size


def _has_pixels(path: Path) -> bool:
    with quiet:
        try:
            ds = pydicom.dcmread(path, force=True)
            return "PixelData" in ds and "Rows" in ds
        except Exception:
            return False
