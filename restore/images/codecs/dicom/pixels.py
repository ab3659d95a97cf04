"""Decoding one DICOM frame: all bits of its words, and the real colour model of its samples.

Bits: uncompressed and RLE pixels, and codestreams of more bits than BitsStored (lossless JPEG, JPEG-LS, JPEG 2000 of whole
words), keep the bits outside the sample; pydicom would set them to zero. The samples of a narrower codestream are the
low bits, whatever HighBit says.

Colours: pydicom decodes JPEG without a colour transform, so the samples are in the model in which they were encoded. The
header's PhotometricInterpretation often says another one. What the codestream says decides, in this order, as in libjpeg,
which viewers use:

1. A JFIF segment: luminance and chroma.
2. An Adobe segment: its transform, 0 for RGB, else luminance and chroma.
3. Components named R, G, B: RGB.
4. Chroma of fewer samples than luminance (nobody encodes green and blue at half the size of red): luminance and chroma.
5. Components numbered 1, 2, 3 in lossy JPEG, where the header says RGB: libjpeg takes them for luminance and chroma, other
   programs believe the header. The picture decides: RGB that is read as luminance and chroma leaves the range of colours
   (black becomes an impossible green), the reverse does not.
6. Otherwise the header, as DICOM has it (PS3.5, 8.2.1).

JPEG 2000 of YBR_RCT or YBR_ICT comes out as RGB. Chroma of fewer samples is brought to full size by the decoder.
"""

from __future__ import annotations

import struct
from itertools import islice
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames, get_frame
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from restore.images.codecs.dicom.codestream_checks import Codestream, check_stream, stream_of
from restore.images.codecs.dicom.frames import missing_frames
from restore.images.codecs.jpeg import jpeg2000
from restore.images.codecs.jpeg.codestream import END, complaint
from restore.images.errors import image_error

_OUT_OF_RANGE = 0.01
"""If a larger share of the picture is outside the range of colours, it is not luminance and chroma. Lossy coding leaves less."""
PADDING = b"\0\xff "
"""Bytes with which writers pad a fragment to an even length: the standard says zero (PS3.5, A.4), some write a space."""


def decoder_of(path: Path, syntax: UID) -> Decoder:
    """pydicom's decoder of a transfer syntax; ImageError for those without one: films, and private ones."""
    try:
        return get_decoder(syntax)
    except NotImplementedError:  # pydicom has no other public way to ask
        raise image_error(path, f"its transfer syntax {syntax.name} can't be decoded; convert it first") from None


def encoded(ds: FileDataset, index: int) -> bytes:
    """The codestream of one frame."""
    table = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths) if "ExtendedOffsetTableLengths" in ds else None
    return get_frame(ds.PixelData, index, number_of_frames=_frames(ds), extended_offsets=table)


def _whole_stream(path: Path, ds: FileDataset, index: int) -> bytes:
    """The codestream of one frame; ImageError where the pixels hold fewer frames than the header says."""
    try:
        return encoded(ds, index)
    except (ValueError, EOFError, struct.error) as error:
        if why := missing_frames(ds):
            raise image_error(path, f"truncated DICOM ({why}); copy it again") from error
        raise


def _frames(ds: FileDataset) -> int:
    return max(1, int(ds.get("NumberOfFrames") or 1))


def codestream(ds: FileDataset) -> Codestream:
    """The properties of the first frame's codestream; none for uncompressed, RLE and incomplete pixels."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax == RLELossless or not syntax.is_encapsulated:
        return Codestream()
    try:
        data = encoded(ds, 0)
    except (ValueError, EOFError, struct.error):  # which decoding will complain of
        return Codestream()
    return stream_of(data, syntax)


def model_of(ds: FileDataset, stream: Codestream, first: np.ndarray | None = None) -> str:
    """The colour model of decoded samples; `first` is the first frame, (H, W, 3), which only a doubtful codestream needs."""
    declared = str(ds.PhotometricInterpretation)
    if int(ds.SamplesPerPixel) != 3:
        return declared
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax in JPEG2000TransferSyntaxes:
        return "RGB" if declared in ("YBR_RCT", "YBR_ICT") else declared
    if stream.model is not None:
        return declared if stream.model == "YBR_FULL" and declared.startswith("YBR_FULL") else stream.model
    if stream.doubtful and declared == "RGB" and first is not None and _may_be_chroma(first):
        return "YBR_FULL"
    return declared


def other_colours(ds: FileDataset, model: str) -> tuple[str, ...]:
    """The warning where the samples are in another colour `model` than the header says."""
    declared = str(ds.PhotometricInterpretation)
    if declared.startswith("YBR") == model.startswith("YBR") or declared in ("YBR_RCT", "YBR_ICT"):
        return ()
    return (f"PhotometricInterpretation says {declared}, but the encoded colours are {model}; they are shown and written as {model}.",)


def _may_be_chroma(frame: np.ndarray) -> bool:
    """Whether (H, W, 3) samples, taken for luminance and chroma, are (nearly) all existing colours; False for plain gray."""
    y, blue, red = np.moveaxis(frame.astype(np.float32), -1, 0)
    if np.median(np.abs(y - blue) + np.abs(y - red)) < 4:
        return False
    blue, red = blue - 128, red - 128
    parts = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], -1)
    impossible = ((parts < -16) | (parts > 271)).any(-1)
    return bool(impossible.mean() <= _OUT_OF_RANGE)


def whole_words(ds: FileDataset, stream: Codestream) -> bool:
    """Whether the encoded words hold the bits outside the sample too."""
    if ds.file_meta.TransferSyntaxUID == RLELossless:
        return True
    return stream.precision is not None and stream.precision > int(ds.BitsStored)


def lower(ds: FileDataset, stream: Codestream) -> None:
    """Set HighBit to where the samples lie after decoding: in the low bits, unless the codestream carries whole words."""
    syntax = ds.file_meta.TransferSyntaxUID
    words = syntax == RLELossless or not syntax.is_encapsulated
    if not words and (stream.precision is None or stream.precision <= int(ds.HighBit)):
        ds.HighBit = int(ds.BitsStored) - 1


def decode(path: Path, ds: FileDataset, index: int, stream: Codestream) -> np.ndarray:
    """(H, W[, 3]) stored samples of one frame, in the system's byte order.

    Raises:
        ImageError: no decoder is installed, none can decode the pixels, or they aren't of the size that the header says.
    """
    syntax = ds.file_meta.TransferSyntaxUID
    gray = int(ds.SamplesPerPixel) == 1
    if not syntax.is_encapsulated and gray:
        return _words(path, ds, index)
    if syntax.is_encapsulated:
        check_stream(path, ds, _whole_stream(path, ds, index))
        _refuse_corrupt(path, ds, index)
    decoder = decoder_of(path, syntax)
    if not decoder.is_available:
        needs = "; ".join(" ".join(m.split()) for m in decoder.missing_dependencies)
        raise image_error(path, f"no decoder for {syntax.name} ({needs}): pip install 'restore-suite[dicom]'")
    try:
        if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) and not gray:
            stored = _components(ds, index, decoder)
        else:
            # libjpeg takes any data for JPEG-LS and makes up what is missing
            strict = "pyjpegls" if syntax in JPEGLSTransferSyntaxes and "pyjpegls" in decoder.available_plugins else ""
            # else pydicom clears, or fills with the sign, those bits that are outside the sample
            masked = not (gray and whole_words(ds, stream))
            stored = pixel_array(ds, index=index, raw=True, decoding_plugin=strict, correct_unused_bits=masked)
    except (RuntimeError, ValueError, AttributeError, EOFError) as error:
        rescued = _rescued(ds, index) if syntax == JPEGExtended12Bit else None
        if rescued is None:
            raise image_error(path, _undecodable(ds, error)) from error
        stored = rescued
    size = int(ds.Rows), int(ds.Columns)
    if stored.shape[:2] != size:
        raise image_error(path, f"damaged DICOM (pixels of {stored.shape[:2]}, the header says {size})")
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _refuse_corrupt(path: Path, ds: FileDataset, index: int) -> None:
    """Raise ImageError for damage that decoders do not report: JPEG data of 8 bits that libjpeg complains of, streams that end early."""
    syntax, problem = ds.file_meta.TransferSyntaxUID, ""
    if syntax == JPEGBaseline8Bit:
        problem = complaint(encoded(ds, index).rstrip(b"\0"))
    elif syntax in JPEG2000TransferSyntaxes:
        problem = jpeg2000.complaint(encoded(ds, index))
    elif syntax in JPEGLSTransferSyntaxes and not encoded(ds, index).rstrip(PADDING).endswith(END):
        problem = "they have no end marker"
    if problem:
        raise image_error(path, f"damaged DICOM (its {syntax.name} data are corrupt: {problem}); copy it again")


def _components(ds: FileDataset, index: int, decoder: Decoder) -> np.ndarray:
    """(H, W, 3) samples of a lossy JPEG as they were encoded; other decoders than these two transform colours."""
    if "pylibjpeg" in decoder.available_plugins:
        try:
            return pixel_array(ds, index=index, raw=True, decoding_plugin="pylibjpeg")
        except (RuntimeError, ValueError):
            pass
    try:
        return np.asarray(imagecodecs.jpeg8_decode(encoded(ds, index), colorspace="YCBCR", outcolorspace="YCBCR"))
    except imagecodecs.Jpeg8Error as error:
        raise RuntimeError(str(error)) from error


def _undecodable(ds: FileDataset, error: Exception) -> str:
    """Why a frame couldn't be decoded."""
    syntax = ds.file_meta.TransferSyntaxUID
    why = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if not syntax.is_encapsulated and (missing := missing_frames(ds)):
        return f"truncated DICOM ({missing}); copy it again"
    if syntax.is_encapsulated:
        return f"none of the installed decoders can decode its {syntax.name} pixels ({why}); copy or export it again"
    return f"damaged DICOM ({why}); copy it again"


def _words(path: Path, ds: FileDataset, index: int) -> np.ndarray:
    """(H, W) words of one uncompressed gray frame with all their bits, which pydicom would mask."""
    order = ">" if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    kind = "i" if int(ds.PixelRepresentation) == 1 else "u"
    dtype = np.dtype(f"{order}{kind}{int(ds.BitsAllocated) // 8}")
    size = int(ds.Rows), int(ds.Columns)
    count = size[0] * size[1]
    data = ds.PixelData
    if len(data) < _frames(ds) * count * dtype.itemsize:
        raise image_error(path, f"truncated DICOM ({missing_frames(ds)}); copy it again")
    if dtype.itemsize == 1 and order == ">" and ds["PixelData"].VR == "OW":
        data = np.frombuffer(data[: len(data) // 2 * 2], np.uint16).byteswap().tobytes()
    words = np.frombuffer(data, dtype, count, index * count * dtype.itemsize).reshape(size)
    return words.astype(dtype.newbyteorder("="))


def _rescued(ds: FileDataset, index: int) -> np.ndarray | None:
    """A gray 12-bit frame whose scan header is off, which pydicom's plugins refuse and libjpeg-turbo takes."""
    frame = next(islice(generate_frames(ds.PixelData, number_of_frames=_frames(ds)), index, None), b"")
    try:
        stored = np.asarray(imagecodecs.jpeg8_decode(frame))
    except (imagecodecs.Jpeg8Error, ValueError, RuntimeError):
        return None
    whole_frame = frame.rstrip(b"\0\xff").endswith(b"\xff\xd9")  # libjpeg fills up what is missing with gray
    size = int(ds.Rows), int(ds.Columns)
    return stored if stored.shape == size and stored.dtype == np.uint16 and whole_frame else None
