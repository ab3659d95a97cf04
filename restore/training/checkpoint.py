"""Checkpoints from which a run continues as if it had never stopped: written atomically, the last one that passed a check kept."""

from __future__ import annotations

import errno
import logging
import os
import random
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from restore.training.train_state import StateDict
from restore.writing import atomic_write

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint-previous.pt"


def save(folder: Path, state: StateDict, *, keep: bool = True) -> Path:
    """Write `state` and the state of every random generator.

    Args:
        keep: the existing checkpoint becomes the previous one. Without, it is replaced and the previous one stays; if there is no
            previous one, the existing one becomes it all the same.
    """
    path = folder / NAME
    with atomic_write(path) as draft:
        try:
            torch.save({**state, "random": random_state()}, draft)
        except RuntimeError as error:  # torch's error for a full disk
            raise OSError(errno.EIO, f"the checkpoint cannot be written, is the disk full? ({error})") from error
        if path.exists() and (keep or not (folder / PREVIOUS).exists()):
            _keep(path)
    return path


def _keep(path: Path) -> None:
    """Hard-link the checkpoint at `path` as the previous one, so that a newest one exists until it is replaced."""
    draft = path.with_name(f".{PREVIOUS}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        os.link(path, draft)
        draft.replace(path.with_name(PREVIOUS))
    except OSError:  # a file system without hard links
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        path.replace(path.with_name(PREVIOUS))


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to resume from."""
    return any((folder / name).is_file() for name in (NAME, PREVIOUS))


def load(folder: Path, *, previous: bool = False) -> StateDict:
    """Read the newest readable checkpoint and restore the random generators; warn if it is not the newest.

    Args:
        previous: prefer the previous checkpoint, where there is one; without a warning.

    Raises:
        ValueError: there is none, or none can be read.
    """
    reasons = []
    for name in (PREVIOUS, NAME) if previous else (NAME, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            state = _read(path)
            set_random_state(state.pop("random"))
        except Exception as error:  # torch may raise anything for a damaged file
            reasons.append(f"{path}: {' '.join(str(error).split())}")
            continue
        if name == PREVIOUS and not previous:
            why = reasons[0] if reasons else f"{folder / NAME} does not exist"
            log.warning(
                "continuing from the previous checkpoint, after step %s: the newest cannot be read (%s)",
                state.get("step"),
                why,
            )
        return state
    raise ValueError(f"no checkpoint to resume from in {folder}" + (f" ({'; '.join(reasons)})" if reasons else ""))


def _read(path: Path) -> StateDict:
    """Read one checkpoint and verify its checksums, which torch does not do."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:  # ours are stored, not compressed
            raise ValueError("it claims to hold more than its own size")
        broken = archive.testzip()
    if broken:
        raise ValueError(f"{broken} does not match its checksum")
    state: StateDict = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or "random" not in state:
        raise ValueError("not a checkpoint of this suite")
    return state


def random_state() -> StateDict:
    """Return the state of Python's, NumPy's and torch's generators, as plain numbers and tensors."""
    version, internal, gauss = random.getstate()
    name, numbers, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(numbers).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: StateDict) -> None:
    """Restore what `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, numbers, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, numbers.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
