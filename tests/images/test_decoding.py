"""Decoding processes: what goes wrong in one costs one picture, and nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bad_decoders
import numpy as np
import psutil
import pytest

from restore.images import ImageError, decoding
from restore.images.decoding import DecodingError

_WAIT = 120.0
"""Seconds for what should take one; generous, for busy machines."""


@pytest.fixture(autouse=True)
def _own_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pool = decoding._Pool()
    monkeypatch.setattr(decoding, "_pool", pool)
    monkeypatch.setattr(decoding, "SECONDS", 1.0)
    yield
    pool.stop()


def _wait(done: object) -> None:
    end = time.monotonic() + _WAIT
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_values_come_back_as_they_are() -> None:
    array, text, pair, empty = decoding.call(bad_decoders.fine, samples=6, coded=6)
    assert np.array_equal(array, np.arange(6).reshape(2, 3)) and array.dtype == ">u2"
    assert (text, pair, empty.shape) == ("x", (1, None), (0, 4))


def test_relative_paths_hold_after_a_change_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoding.prepare()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a.txt").write_text("here")
    monkeypatch.chdir(tmp_path / "here")
    assert decoding.call(bad_decoders.text_of, Path("a.txt"), samples=1, coded=1) == "here"


def test_errors_come_back() -> None:
    with pytest.raises(ImageError, match=r"^a\.png: no$"):
        decoding.call(bad_decoders.refuse, samples=1, coded=1)
    with pytest.raises(DecodingError, match="odd"):
        decoding.call(bad_decoders.complain, samples=1, coded=1)
    assert decoding.call(bad_decoders.chatter, samples=1, coded=1) == len(b"nor this")


def test_one_process_is_asked_again_and_knows_no_torch() -> None:
    assert decoding.call(bad_decoders.pid, samples=1, coded=1) == decoding.call(bad_decoders.pid, samples=1, coded=1) != os.getpid()
    assert decoding.call(bad_decoders.modules, samples=1, coded=1) == ()


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
@pytest.mark.parametrize(
    ("decoder", "error", "text"),
    [
        (bad_decoders.loop, DecodingError, "still busy after 1 s"),
        (bad_decoders.crash, DecodingError, r"crashed \(SIG"),
        (bad_decoders.eat, MemoryError, "takes more than 256 MB, far more than its pixels need: it is likely damaged"),
    ],
)
def test_a_decoder_that_fails_costs_one_call(decoder: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        decoding.call(decoder, samples=10, coded=10)  # type: ignore[arg-type]
    assert decoding.call(bad_decoders.fine, samples=6, coded=6)[1] == "x"


def test_without_a_second_process_it_is_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert decoding.call(bad_decoders.pid, samples=1, coded=1) == os.getpid()
    decoding.prepare()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_copy_asks_its_own(tmp_path: Path) -> None:
    ours = decoding.call(bad_decoders.pid, samples=1, coded=1)
    child = os.fork()
    if not child:
        decoding._pool.forked()
        (tmp_path / "pid").write_text(str(decoding.call(bad_decoders.pid, samples=1, coded=1)))
        decoding._pool.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert int((tmp_path / "pid").read_text()) != ours
    assert decoding.call(bad_decoders.pid, samples=1, coded=1) == ours


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of time ends it")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_an_asker_that_is_stopped(how: signal.Signals, tmp_path: Path) -> None:
    script = Path(__file__).with_name("decoding_asker.py")
    asker = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    mark = tmp_path / "begun"
    _wait(lambda: mark.exists() and mark.read_text())
    decoder = psutil.Process(int(mark.read_text()))
    asker.send_signal(how)
    said, _ = asker.communicate(timeout=_WAIT)
    assert said == ("interrupted\n" if how == signal.SIGINT else "")
    _wait(lambda: not decoder.is_running() or decoder.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of time ends it")
def test_nothing_is_left_of_an_asker_that_ended_while_its_decoder_started() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    command = [sys.executable, "-P", "-W", "ignore", "-m", "restore.images.decoding_process", str(reading)]
    with subprocess.Popen(command, pass_fds=[reading], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as decoder:
        os.close(reading)
        try:
            assert decoder.wait(timeout=_WAIT) == 0
        finally:
            decoder.kill()


def test_a_process_is_ended_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At an interrupt one thread stops all processes, and another one whose process ends drops it."""
    process = decoding._pool.take(0)
    assert process is not None
    end, ended = type(process).end, []
    monkeypatch.setattr(type(process), "end", lambda one: (ended.append(one), end(one)))
    decoding._pool.stop()
    decoding._pool.drop(process)
    assert ended.count(process) == 1
