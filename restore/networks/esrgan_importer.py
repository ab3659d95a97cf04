"""Import files of ESRGAN and Real-ESRGAN into `RRDBNet`: three generations of names for one network."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from restore import networks
from restore.networks.spec import Settings

_OLDEST = re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(weight|bias)")
_PLAIN = {
    "RRDB_trunk": "body", "trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "upconv3": "conv_up3",
    "HRconv": "conv_hr",
}  # fmt: skip


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, Settings, dict[str, Tensor]] | None:
    """Recognise an RRDB network's state dict, and rename its tensors.

    Returns:
        The name and the settings for `networks.build`, and the state dict that it takes. None for another network.

    Raises:
        ValueError: an unknown variant of an RRDB network.
    """
    named = _current_names(tensors)
    if not {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight"} <= named.keys():
        return None
    first, last = named["conv_first.weight"], named["conv_last.weight"]
    channels, ups = last.shape[0], sum(bool(re.fullmatch(r"conv_up\d\.weight", key)) for key in named)
    unshuffle = round((first.shape[1] / channels) ** 0.5)
    settings = {
        "channels": channels, "scale": 2**ups // unshuffle, "width": first.shape[0], "growth": named["body.0.rdb1.conv1.weight"].shape[0],
        "blocks": 1 + max(int(key.split(".")[1]) for key in named if key.startswith("body.")), "unshuffle": unshuffle,
    }  # fmt: skip
    own = networks.build("rrdb", **settings).state_dict()
    odd = [key for key in own.keys() | named.keys() if key not in named or key not in own or named[key].shape != own[key].shape]
    if odd:
        raise ValueError(f"an RRDB network of an unknown variant: {', '.join(sorted(odd)[:4])} do not fit")
    return "rrdb", settings, {key: named[key] for key in own}


def _current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of Real-ESRGAN's files, whatever the file's own."""
    plain = {key.removeprefix("module."): value for key, value in tensors.items()}
    if any(_OLDEST.fullmatch(key) for key in plain):
        return _from_oldest(plain)
    renamed = {}
    for key, value in plain.items():
        head, _, rest = key.partition(".")
        renamed[f"{_PLAIN.get(head, head)}.{rest}".replace("RDB", "rdb") if head in _PLAIN else key] = value
    return renamed


def _from_oldest(plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ESRGAN's first files number the layers of one sequence: model.0, model.1.sub.N, the upsampling layers, and the last two."""
    renamed = {}
    blocks = 1 + max(int(match[1]) for key in plain if (match := _OLDEST.fullmatch(key)))
    numbers = sorted({int(match[1]) for key in plain if (match := re.fullmatch(r"model\.(\d+)\.(weight|bias)", key))})
    after = numbers[1:]  # without model.0
    names = {f"model.{numbers[0]}": "conv_first", f"model.1.sub.{blocks}": "conv_body"}
    names |= {f"model.{number}": f"conv_up{index + 1}" for index, number in enumerate(after[:-2])}
    names |= {f"model.{after[-2]}": "conv_hr", f"model.{after[-1]}": "conv_last"}
    for key, value in plain.items():
        match = _OLDEST.fullmatch(key)
        head, _, kind = key.rpartition(".")
        renamed[f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}" if match else f"{names.get(head, head)}.{kind}"] = value
    return renamed
