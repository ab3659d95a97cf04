"""The files of ImageNet backbones: where they are, and how they get there once (`restore weights fetch-backbones`).

They lie in torch's own cache of downloads ($TORCH_HOME/hub/checkpoints), where torchvision, lpips and torch-fidelity look too.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlparse

import torch

PART = ".part"
"""Suffix of an unfinished download."""
CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds without an answer before a download is given up."""


@dataclass(frozen=True)
class BackboneFile:
    """One file to download.

    Attributes:
        url: asks the library that uses the file for its address; None where the library is not installed.
        used_for: what needs it.
    """

    url: Callable[[], str | None]
    used_for: str


def _alexnet() -> str | None:
    from torchvision.models import AlexNet_Weights

    return str(AlexNet_Weights.IMAGENET1K_V1.url)


def _vgg16() -> str | None:
    from torchvision.models import VGG16_Weights

    return str(VGG16_Weights.IMAGENET1K_V1.url)


def _inception() -> str | None:
    if util.find_spec("torch_fidelity") is None:
        return None
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


BACKBONE_FILES: Mapping[str, BackboneFile] = {
    "alexnet": BackboneFile(_alexnet, "LPIPS"),
    "vgg16": BackboneFile(_vgg16, "perceptual losses, LPIPS (vgg), DISTS, the extractor vgg16"),
    "inception": BackboneFile(_inception, "FID, KID and the inception score as published"),
}
"""Name -> file. The names of the files end in the first eight digits of their SHA-256, as torch.hub asks for."""


def folder() -> Path:
    """Torch's folder of downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find(name: str) -> Path:
    """The path of a downloaded backbone.

    Raises:
        ValueError: it is not there, or the library that names it is not installed.
    """
    url = BACKBONE_FILES[name].url()
    path = folder() / _file_name(url) if url else None
    if path is None or not path.is_file():
        raise ValueError(f"the backbone {name} is not here: run `restore weights fetch-backbones` where there is a network")
    return path


def verify(name: str, path: Path) -> None:
    """Compare a file's SHA-256 with the digits in its name.

    Raises:
        ValueError: they differ, or the name has none.
        OSError: the file cannot be read.
    """
    expected = path.name.removesuffix(PART).rsplit(".", 1)[0].rsplit("-", 1)[-1]
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if len(expected) < 8 or not actual.startswith(expected):
        raise ValueError(
            f"{path}: the checksum of the backbone {name} does not match ({actual[:8]}, not {expected}); delete it and fetch it again"
        )


def fetch(name: str, on_progress: Callable[[int, int | None], None] | None = None) -> Path | None:
    """Download one backbone, unless it is here already. An interrupted download goes on where it stopped.

    Args:
        name: a key of BACKBONE_FILES.
        on_progress: called with the bytes that are here and the size of the file, if the server says it.

    Returns:
        The path of the file; None if the library that uses it is not installed.

    Raises:
        ValueError: the file's checksum is wrong; the download is deleted.
        OSError: the network, the server or the disk failed; what has come is kept for the next try.
    """
    url = BACKBONE_FILES[name].url()
    if url is None:
        return None
    target = folder() / _file_name(url)
    if target.is_file():
        verify(name, target)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    _download(url, part, on_progress or (lambda here, size: None))
    try:
        verify(name, part)
    except ValueError:
        part.unlink()
        raise
    part.replace(target)
    return target


def _download(url: str, part: Path, on_progress: Callable[[int, int | None], None]) -> None:
    here = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={here}-"} if here else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # the whole file is here already
            return
        raise
    with answer, part.open("ab") as stream:
        if answer.status != 206:  # the server sends all of it
            stream.truncate(0)
            here = 0
        length = answer.headers.get("Content-Length")
        size = here + int(length) if length else None
        while block := answer.read(CHUNK):
            stream.write(block)
            here += len(block)
            on_progress(here, size)
        stream.flush()
        os.fsync(stream.fileno())
    if size is not None and here < size:
        raise OSError(f"the connection ended after {here} of {size} bytes; run the command again to go on")


def _file_name(url: str) -> str:
    return Path(urlparse(url).path).name
