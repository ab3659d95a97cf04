"""`restore doctor`: checks the installation, the devices and the weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from .common import SOME_FAILED
from .printable import printable

Finding = tuple[str, str, str]
"""(state, what, detail). The state is "ok", "note" (works, but could be better) or "bad" (restore will not work correctly)."""

_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "tifffile", "imagecodecs", "pydicom", "safetensors", "lpips")
_MARKS = {"ok": "  ok ", "note": "note ", "bad": " bad "}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each finding.")] = False,
) -> None:
    """Show this machine's devices and software, and the defaults that restore uses. Exit code 1: something is broken."""
    bad = False
    for section in (_machine, _software, _devices, _choice, _engines, _dicom, _formats, _weights):
        for state, what, detail in _safely(section):
            bad = bad or state == "bad"
            _print_finding(state, what, detail, json)
    if bad:
        raise typer.Exit(SOME_FAILED)


def _print_finding(state: str, what: str, detail: str, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps({"state": state, "what": what, "detail": detail}))
    else:
        typer.echo(f"{_MARKS[state]} {printable(what):22} {printable(detail)}")


def _safely(section: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a section. An exception, as in a broken installation, is a finding too."""
    try:
        yield from section()
    except Exception as error:
        yield "bad", section.__name__.strip("_"), f"{type(error).__name__}: {error}"


def _machine() -> Iterator[Finding]:
    import os
    import platform

    import psutil

    from restore.available_memory import free_memory

    total, free = psutil.virtual_memory().total, free_memory()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield "ok", "system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    yield "ok", "processor", f"{usable} of {os.cpu_count()} cores may be used"
    limited = " for this process (ulimit, control group)"
    text = f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} GiB free{limited if free < psutil.virtual_memory().available else ''}"
    yield ("note" if free < 2 * 2**30 else "ok"), "memory", text


def _software() -> Iterator[Finding]:
    for package in ("restore-suite", *_PACKAGES):
        try:
            yield "ok", package, version(package)
        except PackageNotFoundError:
            yield "bad", package, f"not installed: {sys.executable} -m pip install {package}"


def _devices() -> Iterator[Finding]:
    import torch

    from restore import runtime

    for name in runtime.available_devices():
        device = torch.device(name)
        fast = "bf16 is faster" if runtime.fast_bf16(device) else "float32 is faster"
        detail = fast
        if device.type == "cuda":
            properties = torch.cuda.get_device_properties(device)
            detail = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {fast}"
        elif device.type == "cpu":
            features = ", ".join(sorted(runtime.cpu_features()))
            detail = f"{torch.get_num_threads()} threads, {fast}" + (f" ({features})" if features else "")
        yield "ok", f"device {name}", detail


def _choice() -> Iterator[Finding]:
    from restore import runtime

    chosen = runtime.choose()
    layout = str(chosen.memory_format).removeprefix("torch.").replace("_", " ")
    yield "ok", "restore will use", f"device {chosen.device}, precision {chosen.precision}, {layout}"


def _engines() -> Iterator[Finding]:
    """The engines besides torch, which need a package of an extra."""
    from restore.inference.engines import ENGINES

    for name, row in ENGINES.items():
        missing = next((package.missing for package in row.needs if package.missing), "")
        if row.needs:
            yield ("note" if missing else "ok"), f"engine {name}", f"cannot be used: {missing}" if missing else "can be used (--engine)"


def _dicom() -> Iterator[Finding]:
    """The compressed DICOM formats that can be read. Uncompressed, deflated and RLE files always can."""
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    kinds = {
        "uncompressed": (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
        "RLE": (uid.RLELossless,),
        "JPEG": (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit),
        "JPEG lossless": (uid.JPEGLossless, uid.JPEGLosslessSV1),
        "JPEG-LS": (uid.JPEGLSLossless, uid.JPEGLSNearLossless),
        "JPEG 2000": (uid.JPEG2000Lossless, uid.JPEG2000),
        "HTJ2K": (uid.HTJ2KLossless, uid.HTJ2K),
    }
    for name, syntaxes in kinds.items():
        missing = [decoder for decoder in map(get_decoder, syntaxes) if not decoder.is_available]
        if missing:
            yield "note", f"DICOM {name}", 'cannot be read: pip install "restore-suite[dicom]"'
        else:
            yield "ok", f"DICOM {name}", "can be read"


def _formats() -> Iterator[Finding]:
    """The formats that need a package of an extra."""
    from restore.images import CODECS

    for name, codec in CODECS.items():
        if codec.needs is not None:
            missing = codec.needs.missing
            yield ("note" if missing else "ok"), f"format {name}", f"cannot be read: {missing}" if missing else "can be read"


def _weights() -> Iterator[Finding]:
    from restore.api import verify_weights

    results = verify_weights()
    if not results:
        yield "note", "weights", "none found: reinstall restore-suite, or train some with `restore train`"
    for listed, problem in results:
        task = listed.entry.recipe["task"] if listed.entry else ""
        by_path = " (another file has this name: use this one by its path)" if listed.hidden else ""
        yield ("bad" if problem else "ok"), f"weights {listed.name}", problem or f"for {task}, {listed.path}{by_path}"
