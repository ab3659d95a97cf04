"""DICOM: gray and colour, one frame or many, every transfer syntax for which pydicom finds a decoder.

What the network sees is said in dicom_shown.py, what is written in dicom_write.py. Samples are the stored values; bits
outside BitsStored are never interpreted. Without a window the range of the pixels is what shows (of up to five frames,
padding left out). Files without preamble or file meta are read where their first element is plausible.
Refused: objects without pixels, segmentations of one bit, float pixel data, YBR_PARTIAL colours, and pixels for which
no decoder is installed, or that none of them can decode.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit

from restore.images import dicom_write
from restore.images.dicom_colour import PaletteIndices, YbrFull
from restore.images.dicom_shown import build, chain, field_of, padding_range
from restore.images.errors import check_size, damaged, quiet
from restore.images.frame import Frame, Mapping
from restore.images.mappings import Linear, whole
from restore.images.picture import Head, Note, refuse

RADIOGRAPHIC = frozenset({"CR", "DX", "MG", "XA", "RF", "RG", "PX", "IO", "RTIMAGE"})
_PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


def sniff(start: bytes) -> bool:
    """The mark after the preamble, or a first element of the group 0002 or 0008."""
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(order + "HHI", start)
        explicit = start[4:6].isalpha() and start[4:6].isupper()
        if group in (2, 8) and element <= 0x0060 and (explicit or (order == "<" and length <= 1024)):
            return True
    return False


def open_source(path: Path, max_pixels: int) -> DicomSource:
    """Read the header; ImageError as `read` says."""
    with damaged(path, "DICOM"), quiet:
        with path.open("rb") as file:
            ds = dcmread(file, force=True, stop_before_pixels=True)
            tail = file.read(16)
        _complete_meta(ds)
        _decoder(path, ds.file_meta.TransferSyntaxUID)
        if ds.file_meta.TransferSyntaxUID.is_deflated:  # the position in the file says nothing then
            tail = b"\xe0\x7f\x10\x00OW\0\0" if "PixelData" in dcmread(path, force=True) else b""
        if "Rows" not in ds or "Columns" not in ds:
            raise refuse(path, f"a DICOM object without pixels ({ds.get('Modality') or 'no modality'})")
        check_size(path, int(ds.Rows or 0), int(ds.Columns or 0), max_pixels)
        photometric = str(ds.get("PhotometricInterpretation", "")).strip()
        if photometric not in _PHOTOMETRICS:
            model = photometric or "missing"
            raise refuse(path, f"DICOM with the colour model {model}; export it as RGB or MONOCHROME2")
        if len(tail) < 8:
            raise refuse(path, "a DICOM object without pixels, or truncated before them; copy it again")
        if int(ds.BitsAllocated) == 1:
            raise refuse(path, "a DICOM segmentation of one bit a pixel: there is nothing to restore")
        if int(ds.BitsAllocated) > 32 or struct.unpack("<H", tail[2:4])[0] in (0x0008, 0x0009):
            raise refuse(path, "DICOM with float pixel data, which restore doesn't read; export it with 16 bits")
        return DicomSource(path, ds)


def _complete_meta(ds: FileDataset) -> None:
    """Give a file without meta information the transfer syntax it was evidently read with."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit, little = ds.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain


def _decoder(path: Path, syntax: UID) -> Decoder:
    """pydicom's decoder of a transfer syntax; ImageError for those that nothing here decodes: films, and a maker's own."""
    try:
        return get_decoder(syntax)
    except NotImplementedError:  # so pydicom answers for those
        raise refuse(path, f"its transfer syntax {syntax.name} can't be decoded; convert it first") from None


def radiograph(ds: Dataset) -> bool:
    """Whether X-rays projected the picture: by modality, and digitised film among secondary captures."""
    modality = str(ds.get("Modality", "") or "").strip().upper()
    return modality in RADIOGRAPHIC or (modality in ("SC", "OT", "") and ds.get("ConversionType") == "DF")


class DicomSource:
    """One DICOM file."""

    copies = False

    def __init__(self, path: Path, ds: FileDataset) -> None:
        self.path = path
        frames = max(1, int(ds.get("NumberOfFrames") or 1))
        self.head = Head(
            "dicom",
            (int(ds.Rows), int(ds.Columns)),
            int(ds.BitsStored),
            frames,
            modality=str(ds.Modality).strip() if ds.get("Modality") else None,
            radiograph=radiograph(ds),
        )
        self._kept: FileDataset | None = None
        self._extent: tuple[int, int] | None = None

    def dataset(self) -> FileDataset:
        """The whole file. That of a multi-frame file is kept, or every frame would read it anew."""
        if self._kept is not None:
            return self._kept
        ds = dcmread(self.path, force=True)
        _complete_meta(ds)
        if "PixelData" not in ds:
            raise refuse(self.path, "truncated DICOM (its pixels are missing or break off); copy it again")
        if self.head.frames > 1:
            self._kept = ds
        return ds

    def frame(self, index: int) -> Frame:
        with damaged(self.path, "DICOM"), quiet:
            ds = self.dataset()
            stored, photometric = self._decoded(ds, index)
            return Frame(stored, self._mapping(ds, index, stored, photometric))

    def _decoded(self, ds: FileDataset, index: int) -> tuple[np.ndarray, str]:
        """(H, W[, 3]) stored samples, and the colour model they are in after decoding."""
        syntax = ds.file_meta.TransferSyntaxUID
        if not syntax.is_encapsulated and int(ds.get("SamplesPerPixel", 1)) == 1:
            return self._words(ds, index), str(ds.PhotometricInterpretation)
        out = Dataset()
        decoder = _decoder(self.path, syntax)
        if not decoder.is_available:
            needs = "; ".join(" ".join(m.split()) for m in decoder.missing_dependencies)
            raise refuse(self.path, f"no decoder for {syntax.name} ({needs}): pip install 'restore-suite[dicom]'")
        try:
            stored = pixel_array(ds, index=index, raw=True, ds_out=out)
        except (RuntimeError, ValueError, AttributeError, EOFError) as error:
            why = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
            rescued = self._rescued(ds, index) if syntax == JPEGExtended12Bit else None
            if rescued is not None:
                return rescued, str(ds.PhotometricInterpretation)
            if syntax.is_encapsulated:
                why = f"none of the installed decoders can decode its {syntax.name} pixels ({why})"
            else:
                why = f"damaged DICOM ({why}); copy it again"
            raise refuse(self.path, why) from error
        if stored.shape[:2] != self.head.size:
            raise refuse(self.path, f"damaged DICOM (pixels of {stored.shape[:2]}, the header says {self.head.size})")
        native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return native, str(out.get("PhotometricInterpretation", ds.PhotometricInterpretation))

    def _words(self, ds: FileDataset, index: int) -> np.ndarray:
        """(H, W) words of one uncompressed gray frame with all their bits, which pydicom would mask."""
        order = ">" if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
        kind = "i" if int(ds.get("PixelRepresentation", 0)) == 1 else "u"
        dtype = np.dtype(f"{order}{kind}{int(ds.BitsAllocated) // 8}")
        count = self.head.size[0] * self.head.size[1]
        data = ds.PixelData
        if len(data) < self.head.frames * count * dtype.itemsize:
            raise refuse(self.path, "truncated DICOM (pixels are missing at its end); copy it again")
        if dtype.itemsize == 1 and order == ">" and ds["PixelData"].VR == "OW":
            data = np.frombuffer(data[: len(data) // 2 * 2], np.uint16).byteswap().tobytes()
        words = np.frombuffer(data, dtype, count, index * count * dtype.itemsize).reshape(self.head.size)
        return words.astype(dtype.newbyteorder("="))

    def _rescued(self, ds: FileDataset, index: int) -> np.ndarray | None:
        """A gray 12-bit frame whose scan header is off, which pydicom's plugins refuse and libjpeg-turbo takes."""
        frame = next(islice(generate_frames(ds.PixelData, number_of_frames=self.head.frames), index, None), b"")
        try:
            stored = np.asarray(imagecodecs.jpeg8_decode(frame))
        except (imagecodecs.Jpeg8Error, ValueError, RuntimeError):
            return None
        whole_frame = frame.rstrip(b"\0").endswith(b"\xff\xd9")  # libjpeg fills up what is missing with gray
        return stored if stored.shape == self.head.size and stored.dtype == np.uint16 and whole_frame else None

    def _mapping(self, ds: FileDataset, index: int, stored: np.ndarray, photometric: str) -> Mapping:
        bits = int(ds.BitsStored)
        if photometric.startswith("YBR_FULL"):
            return YbrFull(2**bits - 1)
        if stored.ndim == 3:
            return whole(2**bits - 1, 3)
        if photometric == "PALETTE COLOR":
            colours = apply_color_lut(np.arange(2 ** min(bits, 16), dtype=stored.dtype), ds)
            return PaletteIndices((colours / np.iinfo(colours.dtype).max).astype(np.float32))
        if bits > 16:
            return self._wide(ds, index)
        return build(field_of(ds), ds, index, self._range(ds))

    def _range(self, ds: FileDataset) -> tuple[int, int]:
        """Lowest and highest value in (up to five of) the frames, padding left out."""
        if self._extent is None:
            field = field_of(ds)
            padding = padding_range(ds, field)
            ends: list[int] = []
            for index in sorted({round(i) for i in np.linspace(0, self.head.frames - 1, 5)}):
                stored = self._decoded(ds, index)[0]
                values = field.values(stored) if field.bits <= 16 else stored
                if padding is not None:
                    values = values[(values < padding[0]) | (values > padding[1])]
                if values.size:
                    ends += [int(values.min()), int(values.max())]
            self._extent = (min(ends), max(ends)) if ends else (0, 1)
        return self._extent

    def _wide(self, ds: FileDataset, index: int) -> Linear:
        """Samples of 17 to 32 bits: too many values for a table, so the chain is taken as the line through its ends."""
        low, high = self._range(ds)
        first, last = chain(np.array([low, max(high, low + 1)], np.float64), ds, index, (low, high))
        slope = (last - first) / (max(high, low + 1) - low) or 1.0
        black, white = low - first / slope, low + (1 - first) / slope
        return Linear(min(black, white), max(black, white), inverted=bool(slope < 0))

    def write(self, path: Path, frames: Iterator[np.ndarray], note: Note) -> None:
        with damaged(self.path, "DICOM"), quiet:
            ds = dcmread(self.path, force=True)
            _complete_meta(ds)
            photometric = self._decoded(ds, 0)[1]
            dicom_write.write(path, ds, frames, note, photometric)
