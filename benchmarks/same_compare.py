"""What differs between the outputs of two trees: pixels, tensors, DICOM elements, bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import tifffile
from PIL import Image

IGNORED: Mapping[str, str] = {
    "SOPInstanceUID": "is derived from the text of the settings, whose words may be renamed",
    "MediaStorageSOPInstanceUID": "repeats the SOPInstanceUID",
    "FileMetaInformationGroupLength": "counts the bytes of the UID before it",
    "DerivationDescription": "is prose, with the settings in it",
}
"""Elements of a DICOM file that may differ, with the reason. None of them does between two runs of one tree."""


def files(folder: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    """The files that match, by relative path; nothing hidden, for that is the suite's own bookkeeping."""
    found = {path.relative_to(folder): path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {name.as_posix(): path for name, path in sorted(found.items()) if not any(part.startswith(".") for part in name.parts)}


def differences(old: Path, new: Path) -> str:
    """How the second file differs from the first; "" where it does not."""
    kinds = {".npy": _arrays, ".safetensors": _tensors, ".pt": _checkpoints, ".dcm": _dicom}
    if old.read_bytes() == new.read_bytes():
        return ""
    return kinds.get(old.suffix, _pictures)(old, new)


def numbers(path: Path) -> list[str]:
    """The numbers in a text, as they are written."""
    return re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)", path.read_text())


def _said(old: np.ndarray, new: np.ndarray) -> str:
    """How two arrays differ; "" where they are the same to the bit."""
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"{old.dtype} {old.shape} became {new.dtype} {new.shape}"
    if old.tobytes() == new.tobytes():
        return ""
    changed = int(np.count_nonzero(old != new))
    with np.errstate(all="ignore"):
        most = np.nanmax(np.abs(new.astype(np.float64) - old.astype(np.float64)))
    return f"{changed} of {old.size} values differ, by {most:.4g} at most"


def _arrays(old: Path, new: Path) -> str:
    return _said(np.load(old), np.load(new))


def _tensors(old: Path, new: Path) -> str:
    """Weights: names and tensors; not the header's text."""
    from safetensors.numpy import load_file

    first, second = load_file(old), load_file(new)
    if first.keys() != second.keys():
        return f"tensors of other names: {', '.join(sorted(first.keys() ^ second.keys())[:6])}"
    found = {name: said for name in first if (said := _said(first[name], second[name]))}
    return f"{len(found)} of {len(first)} tensors differ; {next(iter(found))}: {next(iter(found.values()))}" if found else ""


def _checkpoints(old: Path, new: Path) -> str:
    """Checkpoints: the tensors of floats that they hold (weights, averages, optimizers, discriminators), whatever their names."""
    import torch

    first, second = (set(_digests(torch.load(path, weights_only=True, map_location="cpu"))) for path in (old, new))
    return f"{len(first - second)} of {len(first)} tensors differ" if first != second else ""


def _digests(state: Any) -> Iterator[str]:
    import torch

    if isinstance(state, torch.Tensor):
        if state.is_floating_point() and state.numel() > 1:
            yield f"{tuple(state.shape)} {hashlib.sha256(state.contiguous().numpy().tobytes()).hexdigest()}"
    elif isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _digests(part)


def _dicom(old: Path, new: Path) -> str:
    first, second = (pydicom.dcmread(path, force=True) for path in (old, new))
    try:
        if said := _said(first.pixel_array, second.pixel_array):
            return said
    except (AttributeError, ValueError, RuntimeError, NotImplementedError):
        pass  # what has no pixels, or is coded as pydicom alone cannot read; its elements are compared all the same
    found = [*_elements(first.file_meta, second.file_meta), *_elements(first, second)]
    if found:
        return f"elements differ: {', '.join(found[:6])}"
    return "" if first.preamble == second.preamble else "the preamble differs"


def _elements(first: pydicom.Dataset, second: pydicom.Dataset) -> list[str]:
    """The names of the elements that differ, those in IGNORED aside."""
    tags = sorted({*first.keys(), *second.keys()})
    names = {tag: pydicom.datadict.keyword_for_tag(tag) or str(tag) for tag in tags}
    return [names[tag] for tag in tags if names[tag] not in IGNORED and first.get(tag) != second.get(tag)]


def _pictures(old: Path, new: Path) -> str:
    try:
        first, second = _pages(old), _pages(new)
    except Exception as error:  # whatever a codec may raise: the bytes differ all the same
        return f"bytes differ, and cannot be decoded here ({error})"
    if len(first) != len(second):
        return f"{len(first)} pages became {len(second)}"
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        if said := _said(one, other):
            return f"page {number}: {said}" if len(first) > 1 else said
    return f"the pixels are the same, {old.stat().st_size} bytes became {new.stat().st_size} others"


def _pages(path: Path) -> list[np.ndarray]:
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            return [page.asarray() for page in tiff.pages]
    if path.suffix == ".png":
        import imagecodecs

        return [imagecodecs.png_decode(path.read_bytes())]
    with Image.open(path) as opened:
        return [np.asarray(opened)]
