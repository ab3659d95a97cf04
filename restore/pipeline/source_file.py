"""The file that a picture is read from: its own, or a copy of an object of another store, which lives while the picture is restored."""

from __future__ import annotations

from contextlib import suppress

from restore.pipeline.discovery import Job
from restore.pipeline.manifest_records import digest_file
from restore.pipeline.result_store import ResultStore, Seen


class SourceFile:
    """A job's source.

    Attributes:
        seen: where it was read, for the result's record; None while an object of another store is not read.
    """

    def __init__(self, job: Job, store: ResultStore) -> None:
        self.job, self.store = job, store
        self.seen: Seen | None = Seen(source=job.source) if job.origin is None else None
        self._fetched = False

    def content(self) -> str:
        """The hash of its content. An object that an earlier run has read is not read again for it.

        Raises:
            OSError: it cannot be read.
        """
        origin = self.job.origin
        if origin is None:
            return digest_file(self.job.source)
        if not self._fetched:
            known = self.store.known_content(self.job.target, origin)
            if known:
                return known
        self.fetch()
        content = digest_file(self.job.source)
        self.seen = Seen(origin.version, content)
        return content

    def fetch(self) -> bool:
        """Bring the object here. False if there is nothing to bring: it is here already.

        Raises:
            OSError: it cannot be read.
        """
        if self.job.origin is None or self._fetched:
            return False
        self._fetched = True
        self.job.origin.fetch(self.job.source)
        return True

    def release(self) -> None:
        """Remove the copy."""
        if self.job.origin is None:
            return
        with suppress(OSError):
            self.job.source.unlink(missing_ok=True)
            self.job.source.parent.rmdir()

    def readable(self, text: str) -> str:
        """A message with the names that the user knows."""
        own = text if self.job.origin is None else text.replace(str(self.job.source), self.job.origin.url)
        return self.store.readable(own)
