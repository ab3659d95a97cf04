"""The conveyor's parts and the contact sheet."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from batch_steps import Inverse, folder, picture
from PIL import Image as Pillow

from restore.pipeline import contact_sheet, threaded
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.concurrency import BoundedQueue, MemoryLimiter, Stopped, Workers
from restore.pipeline.step import Image, Result, Sidecars


def test_the_gate_lets_in_by_ticket_and_size() -> None:
    limiter, inside = MemoryLimiter(10), list[int]()
    for ticket, size in ((1, 6), (2, 6), (3, 1)):
        limiter.enter(ticket, size, lambda ticket=ticket: inside.append(ticket))
    assert inside == []  # ticket 0 has not come yet
    limiter.enter(0, 3, lambda: inside.append(0))
    assert inside == [0, 1]
    limiter.leave(3)
    assert inside == [0, 1]  # 3 would fit, but is behind 2
    limiter.leave(6)
    assert inside == [0, 1, 2, 3]


def test_the_gate_lets_a_giant_in_alone() -> None:
    limiter, inside = MemoryLimiter(10), list[int]()
    for ticket, size in ((0, 5), (1, 100), (2, 0), (3, 1)):
        limiter.enter(ticket, size, lambda ticket=ticket: inside.append(ticket))
    assert inside == [0]
    limiter.leave(5)
    assert inside == [0, 1, 2]
    limiter.leave(100)
    assert inside == [0, 1, 2, 3]


class Opened(Inverse):
    """Waits in the network until `count` pictures were decoded, and remembers how many were."""

    def __init__(self, count: int, patience: float) -> None:
        super().__init__()
        self.count, self.patience, self.decoded, self.ahead = count, patience, threading.Semaphore(0), list[bool]()

    def analyse(self, image: Image) -> None:
        self.decoded.release()

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        if not self.ahead:
            self.ahead = [self.decoded.acquire(timeout=self.patience) for _ in range(self.count)]
        return super().__call__(image)


def test_small_files_are_opened_far_ahead_and_large_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Opened(6, 60), Opened(6, 0.5)
    run(small, [folder(tmp_path / "in", 12)], tmp_path / "small", BatchOptions(workers=1))
    assert all(small.ahead)
    monkeypatch.setattr(threaded, "SMALL_FILES", 0)
    run(large, [tmp_path / "in"], tmp_path / "large", BatchOptions(workers=1))
    assert large.ahead[:2] == [True, True]
    assert not any(large.ahead[3:])


def test_an_aborted_queue_stops_both_ends() -> None:
    queue = BoundedQueue(1)
    queue.put(1)
    queue.abort()
    with pytest.raises(Stopped):
        queue.put(2)
    with pytest.raises(Stopped):
        next(iter(queue))


def test_an_ended_belt_gives_what_it_has() -> None:
    queue = BoundedQueue(2)
    queue.put(1)
    queue.end()
    assert list(queue) == [1]


def test_workers_hand_errors_on() -> None:
    workers = Workers(1, "test")
    failed, fine = workers.submit(lambda: 1 // 0), workers.submit(lambda: 1)
    assert fine.result() == 1
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert workers.stop(60)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 900, 3), (300, 300, 1), (700, 40, 1)])
def test_the_crop_lies_in_the_picture(shape: tuple[int, int, int]) -> None:
    left, top, right, bottom = contact_sheet.most_detailed(np.zeros(shape, np.float32))
    assert 0 <= left < right <= shape[1]
    assert 0 <= top < bottom <= shape[0]
    assert (right - left, bottom - top) == (min(256, shape[1]), min(256, shape[0]))


def test_the_crop_finds_the_texture() -> None:
    scene = np.zeros((900, 900, 1), np.float32)
    scene[500:700, 600:800] = np.random.default_rng(0).random((200, 200, 1)) * 0.1
    scene[50:60, 50:60] = 1  # one hard edge counts for less
    left, top, right, bottom = contact_sheet.most_detailed(scene)
    assert left <= 600
    assert right >= 800
    assert top <= 500
    assert bottom >= 700


def _sample(before: float, after: float) -> contact_sheet.Sample:
    cell = np.ones((4, 4, 1), np.float32)
    return contact_sheet.Sample("a", cell, cell * before, cell * after, (0, 0, 4, 4), (4, 4))


def test_the_difference_is_centred_on_gray_and_amplified() -> None:
    sample = _sample(0.50, 0.52)
    factor = contact_sheet.amplification([sample])
    assert factor == 16
    np.testing.assert_allclose(contact_sheet.difference(sample, factor), 0.82, atol=1e-6)
    assert contact_sheet.amplification([sample, _sample(0.0, 1.0)]) == 1
    np.testing.assert_allclose(contact_sheet.difference(_sample(0.3, 0.3), 32), 0.5)


def test_the_preview_shows_up_to_twelve_pictures(tmp_path: Path) -> None:
    folder(tmp_path / "in", 14, (40, 30))
    picture(tmp_path / "in/\N{SNOWMAN}.png", 3, (300, 400))
    (tmp_path / "in/bad.png").write_text("no picture")
    sheet = tmp_path / "looks/preview.png"
    run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(preview=sheet))
    with Pillow.open(sheet) as image:
        assert image.size == (4 * 256 + 5 * 8, 44 + 12 * (256 + 18 + 8) + 8)
    assert [path.name for path in sheet.parent.iterdir()] == ["preview.png"]
    first = sheet.read_bytes()
    run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(preview=sheet))  # all skipped: shown all the same
    assert sheet.read_bytes() == first


@pytest.mark.parametrize(
    ("side", "word"), [("report", "is a picture"), ("html", "is a picture"), ("preview", "no preview of restore made")]
)
def test_a_side_file_replaces_no_other_picture(tmp_path: Path, side: str, word: str) -> None:
    source, photo = picture(tmp_path / "a.png"), picture(tmp_path / "elsewhere" / "photo.png")
    before = photo.read_bytes()
    with pytest.raises(ValueError, match=word):
        run(Inverse(), [source], tmp_path / "out", BatchOptions(**{side: photo}))
    assert photo.read_bytes() == before and not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="need a name each"):
        run(Inverse(), [source], tmp_path / "out", BatchOptions(report=tmp_path / "one.html", html=tmp_path / "one.html"))


def test_a_preview_that_cannot_be_made_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    report = run(Inverse(), [tmp_path / "bad.png"], tmp_path / "out", BatchOptions(preview=tmp_path / "p.png"))
    assert report.remarks == ["no preview: there is no result to show"]
    (tmp_path / "file").write_text("")
    source = picture(tmp_path / "good.png")
    report = run(Inverse(), [source], tmp_path / "out", BatchOptions(preview=tmp_path / "file/p.png"))
    assert report.done == 1
    assert report.unwritten[0].startswith(f"cannot write the preview {tmp_path / 'file/p.png'}: ")
