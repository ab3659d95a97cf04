"""Python packages of extras: a format that needs one names it in one line where it is missing."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from restore.images.errors import ImageError


@dataclass(frozen=True)
class Package:
    """A package that an extra of this suite installs.

    Attributes:
        module: what is imported.
        extra: its extra.
    """

    module: str
    extra: str

    @property
    def missing(self) -> str:
        """How to install it; empty where it is installed."""
        found = importlib.util.find_spec(self.module) is not None
        return "" if found else f"install {self.module} (pip install 'restore-suite[{self.extra}]')"

    def load(self) -> ModuleType:
        """The module.

        Raises:
            ImageError: it is missing, or broken.
        """
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            raise ImageError(self.missing or f"{self.module} cannot be imported ({error}); install it again") from error
