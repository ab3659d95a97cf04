"""Repairs and re-imagines pictures: `load` a network, `run` a task over folders, `train` a network on your own pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restore.api import add_weights, evaluate, export, generate, load, run, run_pipeline, simulate, step, train

__all__ = ["add_weights", "evaluate", "export", "generate", "load", "run", "run_pipeline", "simulate", "step", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import torch at the first use, not at `import restore`, which the command line needs to be quick."""
    if name in __all__:
        from restore import api

        return getattr(api, name)
    raise AttributeError(f"module 'restore' has no attribute {name!r}")
