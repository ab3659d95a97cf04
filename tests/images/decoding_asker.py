"""A process that has something decoded which never ends: `decoding_asker.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bad_decoders

from restore.images import decoding

try:
    decoding.call(bad_decoders.marked, sys.argv[1], samples=10**9, coded=10**9)
except KeyboardInterrupt:
    print("interrupted")
