"""ONNX models for engines, made at their first use and kept in the user's cache.

A model is found by the content of the network and the versions of what made it. It is compared with torch whenever it is loaded, so a
damaged or an old one is made again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from restore.exporting.checking import Run, check
from restore.exporting.formats.onnx import OPSET, model_of
from restore.exporting.graphs import Graph, correcting
from restore.networks.spec import RestorationNetwork
from restore.weights_file import digest
from restore.writing import atomic_write

log = logging.getLogger(__name__)
VERSION = 1
"""Rises with a change of what is exported for engines."""


def cache_folder() -> Path | None:
    """The folder of the cache: $RESTORE_CACHE, else ~/.cache/restore/engines; None without a home."""
    chosen = os.environ.get("RESTORE_CACHE")
    if chosen:
        return Path(chosen)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry among the users
        return None
    return Path(base) / "restore" / "engines"


def correction_model(network: RestorationNetwork, runner: Callable[[bytes], Run], engine: str) -> bytes:
    """The ONNX model of what a network returns, compared with torch in the engine that is to run it.

    Args:
        network: in evaluation mode, in float32, on the CPU.
        runner: model -> what runs it in float32.
        engine: its name, for messages.

    Raises:
        ValueError: the network cannot be exported, or the engine computes something else.
    """
    graph = correcting(network)
    folder = cache_folder()
    path = None if folder is None else folder / f"{_key(network)}.onnx"
    if path is not None and (kept := _kept(path, graph, runner, engine)) is not None:
        return kept
    model = model_of(graph)
    check(graph, runner(model), f"engine {engine}")
    if path is not None:
        with suppress(OSError), atomic_write(path) as draft:  # a cache that cannot be written costs time only
            draft.write_bytes(model)
    return model


def _kept(path: Path, graph: Graph, runner: Callable[[bytes], Run], engine: str) -> bytes | None:
    """The model in the cache; None where there is none, or one that does not compute what torch does."""
    try:
        model = path.read_bytes()
        check(graph, runner(model), f"engine {engine}", quick=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file makes a runtime raise anything
        log.info("%s is made again: %s", path, error)
        return None
    return model


def _key(network: RestorationNetwork) -> str:
    """A name for the network's content and for what its model is made with."""
    made_with = (VERSION, OPSET, torch.__version__, repr(network.spec), repr(network), digest(network.state_dict()))
    return hashlib.sha256("\n".join(map(str, made_with)).encode()).hexdigest()[:32]
