"""Check on PyTorch's `meta` device, where tensors have a shape and no memory, whether a network can be built and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from restore.available_memory import free_memory
from restore.networks.spec import Settings

Module = TypeVar("Module", bound=nn.Module)

COPIES = 5
"""A trained network is kept with its gradients, its average and an optimizer's two moments."""
MOST_NUMBERS = 64
"""Longest list among a network's settings."""
LARGEST_NUMBER = 65_536
"""Largest number among a network's settings."""
MOST_LAYERS = 1024
"""Most layers that a setting may ask for; planning more would take long."""


def check_settings(settings: Settings, *, counts: Collection[str] = (), layers: int = MOST_LAYERS) -> None:
    """Check that settings from a file can be planned with: numbers, words and short lists of numbers, none of them huge.

    Args:
        settings: what `networks.build` takes.
        counts: the settings that count layers.
        layers: how many layers there can be.

    Raises:
        ValueError: other settings; the first such is named.
    """
    for key, value in settings.items():
        entries = list(value) if isinstance(value, list | tuple) else [value]
        most = layers if key in counts else LARGEST_NUMBER
        fits = len(entries) <= MOST_NUMBERS and all(_is_plain(entry, most) for entry in entries)
        if not fits or (key in counts and sum(entries) > layers):
            raise ValueError(f"the setting {key!r} of the network cannot be {repr(value)[:60]}")


def _is_plain(value: object, most: int) -> bool:
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
    except Exception as error:  # unusual settings make constructors raise anything
        raise ValueError(" ".join(str(error).split("\n")[0].split())[:200]) from error


def without_autocast(x: Tensor) -> torch.autocast:
    """Calculate in the types of the tensors themselves, on the device of `x`; the device `meta` has no autocast of its own."""
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)


def activations(network: nn.Module, example: Callable[[], Sequence[Tensor | None]]) -> int:
    """The numbers that a network keeps of one forward pass for its gradients, in addition to its weights.

    Args:
        network: on the device `meta`.
        example: makes its inputs.

    Returns:
        0 where an operation of the network cannot be planned.
    """
    weights = {StorageWeakRef(parameter.untyped_storage()) for parameter in network.parameters()}
    kept: dict[StorageWeakRef, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if (storage := StorageWeakRef(tensor.untyped_storage())) not in weights:
            kept[storage] = tensor
        return tensor

    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), saved_tensors_hooks(pack, lambda tensor: tensor), torch.enable_grad():
            network(*example())
    except Exception:  # whatever an operation without a plan raises
        return 0
    return sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in kept.values())


def parameters(network: nn.Module) -> int:
    """The number of a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def check_memory(numbers: int, what: str, device: torch.device | None = None) -> None:
    """Check that so many numbers of 32 bits fit into the free memory.

    Args:
        numbers: how many are kept at once.
        what: the start of the message: what they are, and the remedy.
        device: where; the machine's own memory by default.

    Raises:
        ValueError: they do not fit.
    """
    on_gpu = device is not None and device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else free_memory()
    if 4 * numbers > free:
        raise ValueError(f"{what}: that takes {4 * numbers / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free")


def check_tensors(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """Check that tensors of these names and shapes are a network's own.

    Args:
        network: on any device.
        shapes: name -> shape.

    Raises:
        ValueError: they belong to another network; some that differ are named.
    """
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    odd = sorted(own.keys() ^ shapes.keys()) or [key for key, shape in own.items() if tuple(shapes[key]) != shape]
    if odd:
        raise ValueError(f"its tensors are not those of the network that its recipe names: {', '.join(odd[:3])} differ")
