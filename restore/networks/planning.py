"""Whether a network can be built, and what it takes, found out on torch's `meta` device, where tensors have a shape and no memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from restore.machine import free_memory

Module = TypeVar("Module", bound=nn.Module)

MOST_NUMBERS = 64
"""How many numbers a list among a network's settings may have."""
LARGEST_NUMBER = 65_536
"""What a number among a network's settings may be."""
MOST_LAYERS = 1024
"""How many layers may be counted by a setting; more would take long to plan."""
COUNTS = {"blocks", "levels", "refine"}
"""Settings that count layers."""


def check_settings(settings: Mapping[str, Any], *, layers: int = MOST_LAYERS) -> None:
    """See to it that settings from a file can be planned with: numbers, words and short lists of numbers, none of them huge.

    Args:
        settings: what `networks.build` takes.
        layers: how many layers there can be, for settings that count them.

    Raises:
        ValueError: other settings; the first such is named.
    """
    for key, value in settings.items():
        entries = list(value) if isinstance(value, list | tuple) else [value]
        most = layers if key in COUNTS else LARGEST_NUMBER
        fits = len(entries) <= MOST_NUMBERS and all(_plain(entry, most) for entry in entries)
        if not fits or (key in COUNTS and sum(entries) > layers):
            raise ValueError(f"the setting {key!r} of the network cannot be {repr(value)[:60]}")


def _plain(value: Any, most: int) -> bool:
    """Whether it is a word, or a number that is not too large; a count of layers is no word."""
    return (isinstance(value, str) and most == LARGEST_NUMBER) or (isinstance(value, int | float) and 0 <= value <= most)


def plan(make: Callable[[], Module]) -> Module:
    """The network that `make` builds, without memory for its weights.

    Raises:
        ValueError: it cannot be built.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return make()
    except ValueError:
        raise
    except Exception as error:  # constructors raise whatever odd settings lead to
        raise ValueError(" ".join(str(error).split("\n")[0].split())[:200]) from error


def parameters(network: nn.Module) -> int:
    """How many numbers a network's parameters are."""
    return sum(parameter.numel() for parameter in network.parameters())


def check_memory(numbers: int, what: str, device: torch.device | None = None) -> None:
    """See to it that so many numbers of 32 bits fit into the free memory.

    Args:
        numbers: how many are to be kept at once.
        what: they are, for the message; it begins the sentence and names the mend.
        device: where; the machine's own memory otherwise.

    Raises:
        ValueError: they do not fit.
    """
    on_gpu = device is not None and device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else free_memory()
    if 4 * numbers > free:
        raise ValueError(f"{what}: that takes {4 * numbers / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free")


def check_tensors(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """See to it that tensors of these names and shapes are a network's own.

    Args:
        network: on any device.
        shapes: name -> shape.

    Raises:
        ValueError: they are another's; some that differ are named.
    """
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    odd = sorted(own.keys() ^ shapes.keys()) or [key for key, shape in own.items() if tuple(shapes[key]) != shape]
    if odd:
        raise ValueError(f"its tensors are not those of the network that its recipe names: {', '.join(odd[:3])} differ")
