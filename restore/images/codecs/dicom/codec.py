"""DICOM: gray and colour, one frame or many, every transfer syntax for which pydicom finds a decoder.

values.py maps stored values to normalized pixels, pixels.py decodes pixels and colours, writing.py writes. Samples are the stored
values. Bits outside the sample are never interpreted and never change, in encoded words as in uncompressed ones. Without a window, the
range of the pixels is displayed (of up to five frames, without padding). Files without preamble or file meta are read if their first
element is plausible. Every frame that the pixels hold is read, even if NumberOfFrames is smaller (frames.py). Header elements that
follow from others are completed (header.py). Both give a warning.
Refused, each with what would help: objects without pixels; labels, doses and measurements, which are no pictures (objects.py); float pixel
data; samples packed without gaps; YBR_PARTIAL colours; headers without BitsAllocated or BitsStored, or without numbers where numbers
belong; pixels that no installed decoder can decode. Colours of more than one sample lose their bits above BitsStored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from restore.images import colour_profiles, decoding
from restore.images.codecs.base import Codec
from restore.images.codecs.dicom import maps, writing
from restore.images.codecs.dicom.codestream_checks import Codestream
from restore.images.codecs.dicom.colour import PaletteIndices, YbrFull
from restore.images.codecs.dicom.deflated import opened
from restore.images.codecs.dicom.frames import count_frames, declared_frames
from restore.images.codecs.dicom.header import (
    PHOTOMETRICS,
    as_dicom_error,
    complete,
    complete_meta,
    load,
    unreadable_values,
    whole_number,
)
from restore.images.codecs.dicom.headerless import is_headerless
from restore.images.codecs.dicom.palette import colours_of
from restore.images.codecs.dicom.pixels import (
    codestream,
    decode,
    decoder_of,
    lower,
    model_of,
    other_colours,
)
from restore.images.codecs.dicom.sop_classes import is_without_pixels, not_a_picture, sniff, without_pixels
from restore.images.codecs.dicom.values import build, chain, field_of, padding_range
from restore.images.errors import MAX_PIXELS, Limits, check_size, image_error, quiet
from restore.images.extents import extent_of
from restore.images.frame import Frame
from restore.images.mappings import Linear, with_maximum
from restore.images.metadata import ImageHeader, MapInfo, Metadata, Provenance
from restore.images.pixel_mapping import PixelMapping

RADIOGRAPHIC = frozenset({"CR", "DX", "MG", "XA", "RF", "RG", "PX", "IO", "RTIMAGE"})


_SIZELESS = (
    "DICOM that doesn't say how large its picture is: Rows (0028,0010) or Columns (0028,0011) is missing; "
    "set them, for example with dcmodify"
)


def radiograph(ds: Dataset) -> bool:
    """Whether the picture is a projection by X-rays, by its modality; or digitised film, among secondary captures."""
    modality = str(ds.get("Modality", "") or "").strip().upper()
    return modality in RADIOGRAPHIC or (modality in ("SC", "OT", "") and ds.get("ConversionType") == "DF")


def _above(ds: FileDataset, stored: np.ndarray) -> tuple[str, ...]:
    """A warning where samples have bits above BitsStored that no overlay claims: the header may be wrong."""
    planes = [tag.group for tag in ds.keys() if tag.group in range(0x6000, 0x6100) and tag.element == 0x0010]  # noqa: SIM118 (iterating gives elements, and decodes them)
    embedded = any((group, 0x3000) not in ds for group in planes)
    share = 0.0 if stored.ndim != 2 or embedded else field_of(ds).share_outside(stored)
    if not share:
        return ()
    return (
        f"{_percent(share)} % of its samples have bits outside BitsStored ({ds.BitsStored}), which stay as they are; is that value right?",
    )


def _percent(share: float) -> str:
    """A share in percent with two digits, 100 only for all."""
    return "100" if share == 1 else f"{min(100 * share, 99):.2g}"


def _profile(ds: Dataset) -> bytes | None:
    """The ICC profile of a colour picture, or of a slide's first optical path; None for gray ones and where it is damaged."""
    if int(ds.get("SamplesPerPixel") or 1) != 3 and ds.get("PhotometricInterpretation") != "PALETTE COLOR":
        return None
    paths = ds.get("OpticalPathSequence") or [Dataset()]
    profile = bytes(ds.get("ICCProfile") or paths[0].get("ICCProfile") or b"")
    return profile if profile and colour_profiles.sound(profile) else None


class DicomSource:
    """One DICOM file."""

    copies = False

    def __init__(self, path: Path, ds: FileDataset, frames: int, warnings: tuple[str, ...]) -> None:
        self.path = path
        self.header = ImageHeader(
            "dicom",
            (int(ds.Rows), int(ds.Columns)),
            int(ds.BitsStored),
            frames,
            modality=str(ds.Modality).strip() if ds.get("Modality") else None,
            radiograph=radiograph(ds),
            metadata=Metadata(icc=_profile(ds)),
            warnings=warnings,
        )
        self._kept: FileDataset | None = None
        self._extent: tuple[float, float] | None = None
        self._stream: Codestream | None = None
        self._model: str | None = None

    def dataset(self) -> FileDataset:
        """The whole file with its header completed. A multi-frame file is kept, so that not every frame reads it anew."""
        if self._kept is not None:
            return self._kept
        ds = self._fresh()
        if self.header.frames > 1:
            self._kept = ds
        return ds

    def _fresh(self) -> FileDataset:
        """The whole file with its header completed, read anew: the caller may change it."""
        ds = load(self.path)
        if not ds.get("PixelData"):
            raise image_error(self.path, "truncated DICOM (its pixels are missing or break off); copy it again")
        complete(self.path, ds)
        if self.header.frames > 1 or "NumberOfFrames" in ds:
            ds.NumberOfFrames = self.header.frames
        if self._stream is None:
            self._stream = codestream(ds)
        lower(ds, self._stream)
        return ds

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_dicom_error(self.path):
            ds = self.dataset()
            stored, photometric = self._decoded(ds, index)
            mapping = self._mapping(ds, index, stored, photometric)
            return Frame(stored, mapping, warnings=(*other_colours(ds, photometric), *_above(ds, stored)))

    def _decoded(self, ds: FileDataset, index: int) -> tuple[np.ndarray, str]:
        """(H, W[, 3]) stored samples, and their colour model after decoding, which the first frame decides for all."""
        stream = self._stream or codestream(ds)
        stored = self._samples(ds, index, stream)
        if self._model is None:
            first = self._samples(ds, 0, stream) if stream.doubtful and index else stored
            self._model = model_of(ds, stream, first)
        return stored, self._model

    def _samples(self, ds: FileDataset, index: int, stream: Codestream) -> np.ndarray:
        """(H, W[, 3]) stored samples; encoded ones are decoded in a decoding process."""
        if not ds.file_meta.TransferSyntaxUID.is_encapsulated:
            return decode(self.path, ds, index, stream)
        count = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel)
        return decoding.call(decode_file, self.path, self.header.frames, index, samples=count, coded=self.path.stat().st_size)

    def _mapping(self, ds: FileDataset, index: int, stored: np.ndarray, photometric: str) -> PixelMapping:
        bits = int(ds.BitsStored)
        if photometric.startswith("YBR_FULL"):
            return YbrFull(2**bits - 1)
        if stored.ndim == 3:
            return with_maximum(2**bits - 1, 3)
        if photometric == "PALETTE COLOR":
            field = replace(field_of(ds), bits=min(bits, 16))
            return PaletteIndices(colours_of(self.path, ds, field), field)
        if bits > 16:
            return self._wide(ds, index, stored)
        return build(field_of(ds), ds, index, self._range(ds, index, stored))

    def _range(self, ds: FileDataset, decoded_index: int, frame: np.ndarray) -> tuple[float, float]:
        """Lowest and highest value of up to five frames, without padding and hot pixels. `frame` is the decoded one."""
        if self._extent is None:
            field = field_of(ds)
            padding = padding_range(ds, field)
            ends: list[tuple[float, float]] = []
            for index in sorted({round(i) for i in np.linspace(0, self.header.frames - 1, 5)}):
                stored = frame if index == decoded_index else self._decoded(ds, index)[0]
                values = field.values(stored) if field.bits <= 16 else stored
                if padding is not None:
                    values = values[(values < padding[0]) | (values > padding[1])]
                if values.size:
                    ends.append(extent_of(values))
            self._extent = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 1.0)
        return self._extent

    def _wide(self, ds: FileDataset, index: int, stored: np.ndarray) -> Linear:
        """The mapping of samples of 17 to 32 bits: the line through the ends of the chain, because a table would be too large."""
        low, high = self._range(ds, index, stored)
        first, last = chain(np.array([low, max(high, low + 1)], np.float64), ds, index, (low, high))
        slope = (last - first) / (max(high, low + 1) - low) or 1.0
        black, white = low - first / slope, low + (1 - first) / slope
        padding = padding_range(ds, field_of(ds))
        return Linear(min(black, white), max(black, white), inverted=bool(slope < 0), padding=padding)

    def write_map(self, path: Path, pages: Sequence[np.ndarray], info: MapInfo) -> None:
        """Write a map of the picture's error as a derived object."""
        with as_dicom_error(self.path):
            maps.write(path, self._fresh(), pages, info, source=self.path)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write a derived object: the dataset with other pixels, its own identity, and where it comes from."""
        with as_dicom_error(self.path):
            ds = self._fresh()
            photometric = self._model or self._decoded(ds, 0)[1]
            writing.write(path, ds, frames, provenance, photometric=photometric, source=self.path)


def decode_file(path: Path, frames: int, index: int) -> np.ndarray:
    """(H, W[, 3]) stored samples of one of `frames` frames of an encoded file; for a decoding process.

    Raises:
        ImageError, and what pydicom and its decoders raise.
    """
    with quiet:
        stat = path.stat()
        key = (path, frames, stat.st_mtime_ns, stat.st_size)
        ds, stream = (_kept_file if frames > 1 else _kept_file.__wrapped__)(*key)
        return decode(path, ds, index, stream)


@lru_cache(maxsize=1)
def _kept_file(path: Path, frames: int, _time: int, _size: int) -> tuple[FileDataset, Codestream]:
    """A file's dataset, ready to decode; kept for the next frame of a multi-frame file."""
    with opened(path) as (header, _):
        complete_meta(header)
        complete(path, header)
        source = DicomSource(path, header, frames, ())
    ds = source.dataset()
    return ds, codestream(ds)


class DicomCodec(Codec):
    """DICOM. Pictures of other formats cannot become DICOM: it takes a patient, a study and an equipment."""

    name = "dicom"
    suffixes = (".dcm", ".dicom", ".dic", ".ima")
    has_preamble = True
    holds_maps = True

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as DICOM does, with or without its preamble."""
        return sniff(head)

    def is_certain(self, head: bytes) -> bool:
        """Whether `head` leaves no doubt."""
        return head[128:132] == b"DICM" or is_headerless(head)

    def without_pixels(self, path: Path) -> str | None:
        """What the file holds instead of a picture; None where it holds one."""
        return is_without_pixels(path)

    def open(self, path: Path, limits: Limits) -> DicomSource:
        """Read the header; ImageError as `read` says."""
        with as_dicom_error(path), opened(path) as (ds, file):
            complete_meta(ds)
            decoder_of(path, ds.file_meta.TransferSyntaxUID)
            at = file.tell()
            pixels = file.read(16)
            file.seek(at)
            declared_frames(path, ds)
            why = not_a_picture(ds)
            if why is not None:
                raise image_error(path, why)
            if "Rows" not in ds or "Columns" not in ds:
                raise image_error(path, _SIZELESS if len(pixels) >= 8 else without_pixels(ds))
            check_size(path, whole_number(path, ds, "Rows") or 0, whole_number(path, ds, "Columns") or 0, limits.max_pixels)
            photometric = str(ds.get("PhotometricInterpretation", "")).strip()
            if not photometric:
                raise image_error(path, "DICOM without PhotometricInterpretation (0028,0004); set it, to MONOCHROME2 or RGB if it is that")
            if photometric not in PHOTOMETRICS:
                raise image_error(path, f"DICOM with the colour model {photometric}; export it as RGB or MONOCHROME2")
            if len(pixels) < 8:
                raise image_error(path, without_pixels(ds))
            if pixels[2:4] in (b"\x08\0", b"\x09\0", b"\0\x08", b"\0\x09"):
                raise image_error(path, "DICOM with float pixel data, which restore doesn't read; export it with 16 bits")
            notes = [*complete(path, ds), *unreadable_values(ds)]
            if writing.has_coded_icon(ds):
                notes.append("its small icon picture is compressed and is left out of results")
            frames, more = count_frames(path, ds, file)
            return DicomSource(path, ds, frames, (*notes, *([more] if more else [])))

    def write_map(self, source: Path, path: Path, pages: Sequence[np.ndarray], info: MapInfo) -> None:
        """Write a map of a picture's error; see `maps.py`."""
        self.open(source, Limits(max_pixels=max(MAX_PIXELS, pages[0].size))).write_map(path, pages, info)
