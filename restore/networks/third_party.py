"""Image-to-image networks of other programs, loaded by spandrel (https://github.com/chaiNNer-org/spandrel) and run like ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from restore.networks.resample import enlarge
from restore.networks.spec import OVERLAP, ModelSpec, NetworkConfig, RestorationNetwork, Settings

MISSING = "networks of other programs need spandrel: pip install 'restore-suite[third_party]'"


@dataclass(frozen=True)
class ThirdPartyConfig(NetworkConfig):
    """What a weights file records of such a network."""

    name: Literal["third_party"] = "third_party"
    multiple: int = field(default=1, metadata={"help": "the sides must be multiples of this"})


class ThirdPartyNetwork(RestorationNetwork):
    """A network of another program. It is empty until `load_state_dict`, since only its tensors say what it is made of.

    Args:
        config: its settings.
        channels: of the picture and of the result, 1 or 3.
        scale: the result is this many times larger.
    """

    enlarges: ClassVar[bool] = True
    trainable: ClassVar[bool] = False

    def __init__(self, config: ThirdPartyConfig, *, channels: int = 3, scale: int = 4) -> None:
        super().__init__()
        # its receptive field is unknown
        self.spec = ModelSpec(channels, channels, receptive_field=OVERLAP, multiple=config.multiple, scale=scale)
        self.descriptor: Any = None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Build the network that these tensors belong to, and complete the spec.

        Raises:
            ValueError: spandrel is not installed, or does not recognise them.
        """
        self.descriptor = describe(state_dict)
        self.model = self.descriptor.model  # a submodule, so that it moves with this one
        self.spec = replace(self.spec, sees_whole_image=any(map(_takes_image_statistics, self.model.modules())))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1] -> (B, C, scale H, scale W), to be added to the bicubic enlargement."""
        enlarged: Tensor = self.descriptor(picture)
        return enlarged.float() - enlarge(picture.float(), self.spec.scale)


def _takes_image_statistics(module: nn.Module) -> bool:
    return isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats


def describe(tensors: Mapping[str, Tensor]) -> Any:
    """spandrel's descriptor of a network.

    Raises:
        ValueError: spandrel is not installed, or does not recognise such tensors.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        descriptor = ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except Exception as error:  # its own UnsupportedModelError, and any error that unusual tensors cause
        raise ValueError(f"these keys ({', '.join(list(tensors)[:3])} ...) are of no network that is known here") from error
    if not isinstance(descriptor, ImageModelDescriptor):
        raise ValueError(f"a {descriptor.architecture.name} network needs more than a picture: it cannot be run here")
    channels, out_channels = descriptor.input_channels, descriptor.output_channels
    if channels != out_channels or channels not in {1, 3}:
        raise ValueError(f"a network from {channels} to {out_channels} channels; both must be 1 or both 3")
    return descriptor


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, Settings, dict[str, Tensor]]:
    """The name, the settings and the tensors of a `ThirdPartyNetwork`; see `describe`."""
    found = describe(tensors)
    settings = {"channels": found.input_channels, "scale": found.scale, "multiple": found.size_requirements.multiple_of}
    return "third_party", settings, dict(tensors)
