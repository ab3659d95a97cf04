"""A process that has something decoded which never ends: `decoding_asker.py FOLDER`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bad_decoders

from restore.images import decoding

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it otherwise
try:
    decoding.call(bad_decoders.marked, sys.argv[1], samples=10**9, coded=10**9)
except KeyboardInterrupt:
    print("interrupted")
