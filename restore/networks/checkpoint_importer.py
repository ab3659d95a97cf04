"""Import generators trained with the reference code of CycleGAN and pix2pix (`latest_net_G.pth`) into our networks.

The keys of a state dict tell the network: `model.1`, `model.4` ... and `conv_block` for the ResNet generator, `model.model.` for the
U-Net. Its tensors have the order of our own modules, so they are matched in order and their shapes compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from restore import networks
from restore.networks.spec import Settings

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, Settings, dict[str, Tensor]]:
    """Recognise the network of a state dict of the reference code, and rename its tensors.

    Args:
        tensors: from `torch.load(..., weights_only=True)`; keys may begin with `module.` (several GPUs).

    Returns:
        The name and the settings for `networks.build`, and the state dict that it takes.

    Raises:
        ValueError: no generator of that code, or an unknown variant of one.
    """
    plain = {key.removeprefix("module."): value for key, value in tensors.items()}
    convolutions = [key for key, value in plain.items() if value.dim() == 4]
    if not convolutions:
        raise ValueError("this state dict holds no convolution: it is no generator of CycleGAN's or pix2pix's reference code")
    normalised = any(value.dim() == 1 and key.endswith(".weight") for key, value in plain.items())
    if not normalised:  # instance normalisation without weights; old files hold statistics that were never used
        plain = {key: value for key, value in plain.items() if not key.endswith(STATISTICS)}
    first, last = plain[convolutions[0]], plain[convolutions[-1]]
    settings: Settings = {
        "channels": first.shape[1], "width": first.shape[0], "upsample": "transposed", "norm": "batch" if normalised else "instance",
    }  # fmt: skip
    if any("conv_block" in key for key in plain):
        name = "resnet"
        settings["blocks"] = len({match[1] for key in plain if (match := re.match(r"(model\.\d+)\.conv_block", key))})
        out = last.shape[0]
    elif all(key.startswith("model.model.") for key in plain):
        name = "pix2pix_unet"
        settings |= {"levels": len(convolutions) // 2, "dropout": 0.5}  # the reference code's, for further training
        out = last.shape[1]  # a transposed convolution has its outputs second
    else:
        raise ValueError(f"these keys ({', '.join(list(plain)[:3])} ...) are of no generator of the reference code")
    if out != first.shape[1]:
        raise ValueError(f"a translator from {first.shape[1]} to {out} channels is not known here; both must be 1 or 3")
    return name, settings, _matched(plain, networks.build(name, **settings).state_dict())


def _matched(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    counters = {key for key in ours if key.endswith("num_batches_tracked")}
    own = [key for key in ours if key not in counters]
    others = [key for key in theirs if not key.endswith("num_batches_tracked")]
    if len(own) != len(others):
        raise ValueError(f"the state dict has {len(others)} tensors where this network has {len(own)}: another variant")
    matched = {key: ours[key] for key in counters}
    for key, other in zip(own, others, strict=True):
        if ours[key].shape != theirs[other].shape:
            raise ValueError(f"{other} is {tuple(theirs[other].shape)} where {tuple(ours[key].shape)} was expected: another variant")
        matched[key] = theirs[other]
    return matched
