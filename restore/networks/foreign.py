"""Any network from picture to picture that spandrel knows (https://github.com/chaiNNer-org/spandrel), run as one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from restore.networks.resample import enlarge
from restore.networks.spec import OVERLAP, ModelSpec, RestorationNetwork

MISSING = "it takes spandrel to know other programs' networks: pip install 'restore-suite[foreign]'"


class Foreign(RestorationNetwork):
    """A network of another program. It is empty until `load_state_dict`, since only the tensors tell what it is made of.

    Args:
        channels: of the picture and of the result, 1 or 3.
        scale: how many times larger the result is.
        multiple: what the sides must be multiples of.
    """

    def __init__(self, channels: int = 3, scale: int = 4, multiple: int = 1) -> None:
        super().__init__()
        # its receptive field is unknown
        self.spec = ModelSpec(channels, channels, receptive_field=OVERLAP, multiple=multiple, scale=scale)
        self.described: Any = None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Build the network whose tensors these are.

        Raises:
            ValueError: spandrel is not installed, or does not know them.
        """
        self.described = described(state_dict)
        self.model = self.described.model  # so that it moves with this one
        whole = any(isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats for module in self.model.modules())
        self.spec = replace(self.spec, sees_whole_image=whole)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1] -> what is to be added to its bicubic enlargement, (B, C, scale H, scale W)."""
        made: Tensor = self.described(picture)
        return made.float() - enlarge(picture.float(), self.spec.scale)


def described(tensors: Mapping[str, Tensor]) -> Any:
    """spandrel's description of a network.

    Raises:
        ValueError: spandrel is not installed, or does not know such tensors.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        found = ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except Exception as error:  # beside its own UnsupportedModelError, whatever odd tensors lead it to
        raise ValueError(f"these keys ({', '.join(list(tensors)[:3])} ...) are of no network that is known here") from error
    if not isinstance(found, ImageModelDescriptor):
        raise ValueError(f"a {found.architecture.name} network needs more than a picture: it cannot be run here")
    if found.input_channels != found.output_channels or found.input_channels not in {1, 3}:
        raise ValueError(f"a network from {found.input_channels} to {found.output_channels} channels; both must be 1 or both 3")
    return found


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """The settings of a `Foreign` for these tensors; see `described`."""
    found = described(tensors)
    settings = {"channels": found.input_channels, "scale": found.scale, "multiple": found.size_requirements.multiple_of}
    return "foreign", settings, dict(tensors)
