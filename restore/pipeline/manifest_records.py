"""The records of a manifest: what they say of a result, as JSON, and the hashes in them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from restore.pipeline.discovery import Origin
from restore.pipeline.result_store import Seen

VERSION = 1


def settings_digest(settings: dict[str, object]) -> str:
    """The hash of all values besides the input that affect a result."""
    return digest(json.dumps([VERSION, settings], sort_keys=True, default=str).encode())


@dataclass(frozen=True)
class SettingsDigests:
    """The hashes of a run's settings: results of pictures with missing pixels have another one than those of whole pictures.

    So the result of a whole picture is done for runs with and without `--salvage`, and what was salvaged for runs with it alone. Earlier
    versions gave every result of a run with `--salvage` the second hash.

    Attributes:
        whole: for results of whole pictures.
        salvaged: for results of pictures with missing pixels.
        salvages: whether the run accepts these.
    """

    whole: str
    salvaged: str
    salvages: bool

    @classmethod
    def of(cls, settings: dict[str, object]) -> SettingsDigests:
        """Those of a run; `settings["salvage"]` says whether it accepts pictures with missing pixels."""
        others = {name: value for name, value in settings.items() if name != "salvage"}
        return cls(settings_digest(others), settings_digest(others | {"salvage": True}), bool(settings.get("salvage")))

    def of_result(self, seen: Seen | None) -> str:
        """The hash for the record of a result."""
        return self.salvaged if seen is not None and seen.salvaged else self.whole

    def accept(self, digest: str) -> bool:
        """Whether a result whose record has this hash is done for this run."""
        return digest == self.whole or (self.salvages and digest == self.salvaged)


def record_name(relative: Path) -> str:
    """The name of a result's record, without its suffix."""
    return digest(os.fsencode(relative))[:32]


def record_text(name: str, content: str, output: str, settings: str, seen: Seen | None, before: dict[str, str] | None) -> str:
    """A record as JSON: the result's name, the hashes of the input, the result and the settings, and where the input was read.

    Args:
        name: of the result.
        content: the hash of the input.
        output: the hash of the result.
        settings: the hash of the settings.
        seen: where the input was read, and whether pixels of it are missing.
        before: the record that it replaces. Its result is still there if the run is killed before the new one is.
    """
    before = before or {}
    replaced = before.get("output", "") if before.get("output") != output else before.get("replaced", "")
    record = {"input": content, "name": name, "output": output, "settings": settings, "replaced": replaced}
    if seen is not None and seen.version:
        record |= {"version": seen.version, "content": seen.content}
    if seen is not None and seen.source is not None:
        record |= _names_of(seen.source)
    if seen is not None and seen.salvaged:
        record |= {"salvaged": "yes"}
    return json.dumps(record, sort_keys=True, indent=1) + "\n"


def _names_of(source: Path) -> dict[str, str]:
    """What a record says of a file of this machine: its path without links, and the one by which it was named."""
    return {"source": os.path.realpath(source), "path": os.path.normpath(Path.cwd() / source)}


def recorded_rival(record: dict[str, str] | None, source: Path) -> str:
    """The file that the record is about, if it is another one than `source` and still exists; else ""."""
    names, record = _names_of(source), record or {}
    other = str(record.get("source", ""))
    if not other or other == names["source"] or record.get("path") == names["path"]:
        return ""
    try:
        return other if Path(other).stat() and not source.samefile(other) else ""
    except PermissionError:
        return other
    except OSError:
        return ""


def parsed_record(text: str | bytes) -> dict[str, str] | None:
    """A record; None if the text is not usable."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    required = ("input", "settings", "output")
    return record if isinstance(record, dict) and all(isinstance(record.get(key), str) for key in required) else None


def recorded_content(record: dict[str, str] | None, origin: Origin) -> str:
    """The hash of an object's content, if the record is of the same version of it; else ""."""
    if record is None or not origin.version or record.get("version") != origin.version:
        return ""
    return str(record.get("content", ""))


def digest(data: bytes) -> str:
    """The hash of a content: BLAKE2b of 32 bytes, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def digest_file(path: Path) -> str:
    """`digest` of a file's content; "" if it does not exist or is not a regular file (a pipe or a device has no end).

    Raises:
        OSError: the file exists but cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    except FileNotFoundError:
        return ""
