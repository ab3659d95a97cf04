"""farbfeld: 16-bit RGBA, big-endian, uncompressed. Everything is kept."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.errors import Limits, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import plain
from restore.images.metadata import ImageHeader, Provenance


class FarbfeldSource:
    copies = True

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path, self.header = path, ImageHeader("farbfeld", size, 16)

    def frame(self, index: int) -> Frame:
        stored = np.frombuffer(self.path.read_bytes()[16:], ">u2").reshape(*self.header.size, 4).astype(np.uint16)
        return Frame(stored, plain(stored))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        stored = only_frame(frames, path)
        path.write_bytes(b"farbfeld" + struct.pack(">II", *stored.shape[1::-1]) + stored.astype(">u2").tobytes())


class FarbfeldCodec(Codec):
    name = "farbfeld"
    suffixes = (".ff",)
    capabilities = Capabilities(gray=False, gray_alpha=False, profiles=False)

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"farbfeld")

    def open(self, path: Path, limits: Limits) -> FarbfeldSource:
        with path.open("rb") as file:
            width, height = struct.unpack(">8xII", file.read(16))
        check_size(path, height, width, limits.max_pixels)
        if path.stat().st_size != 16 + 8 * width * height:
            raise image_error(path, "truncated farbfeld; copy it again")
        return FarbfeldSource(path, (height, width))

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        samples = only_frame(frames, path)
        wide = samples if samples.dtype == np.uint16 else samples * np.uint16(257)
        if wide.shape[-1] == 3:
            wide = np.concatenate([wide, np.full_like(wide[..., :1], 65535)], -1)
        FarbfeldSource(path, (wide.shape[0], wide.shape[1])).write(path, iter([wide]), Provenance())
