"""Requests to a store again, after a pause that grows, where the store is busy or the line broke.

botocore, s3fs and gcsfs try again by themselves first. What reaches this file has outlasted them, or comes from a store without.
"""

from __future__ import annotations

import errno
import logging
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_PAUSE = 0.25
"""Seconds before the second attempt; each further pause is twice as long, and up to half of it is left out by chance."""
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_OF_THIS_MACHINE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG))
_BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
_BROKEN_LINE = re.compile(
    "Connect|Disconnect|Timeout|Payload|IncompleteRead|Streaming|ServerError|HTTPClientError|ServiceRe(quest|sponse)Error"
)
_UNREADABLE = re.compile("HttpMessage|HttpProcessing|StatusLine|InvalidHeader|LineTooLong|TransferEncoding|ContentLength")


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: a busy store, or a broken line.

    The clients of stores have exceptions of their own without a common base; an HTTP status or the name tells what they mean.
    """
    if isinstance(error, _FINAL) or not isinstance(error, Exception):
        return False
    if _UNREADABLE.search(type(error.__cause__).__name__):
        return True  # aiohttp gives such an answer the status 400, which no server sent
    status = vars(error).get("status", vars(error).get("status_code", vars(error).get("code")))
    if isinstance(status, int):
        return status in _BUSY
    if isinstance(error, OSError):
        return error.errno not in _OF_THIS_MACHINE
    return bool(_BROKEN_LINE.search(type(error).__name__))


def _broken_line(error: Exception) -> Exception | None:
    """What broke the line, where a client says instead that there is no such object, as fsspec's for HTTP does; None elsewhere."""
    cause = error.__cause__
    hidden = isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and _BROKEN_LINE.search(type(cause).__name__)
    return cause if hidden and isinstance(cause, Exception) else None


def retried(request: Callable[..., T], *arguments: object, **settings: object) -> T:
    """Call `request`, up to ATTEMPTS times while its errors are transient.

    Raises:
        OSError: the last error, or the first that is not transient. Exceptions of a store's client become OSErrors with the same text.
    """
    for attempt in range(ATTEMPTS):
        try:
            return request(*arguments, **settings)
        except Exception as raised:
            error = _broken_line(raised) or raised
            if attempt + 1 == ATTEMPTS or not is_transient(error):
                if error is raised and isinstance(error, OSError):
                    raise
                raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from raised
            log.debug("attempt %d of %d failed: %s", attempt + 1, ATTEMPTS, error)
        time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))
    raise AssertionError("the last attempt returns or raises")
