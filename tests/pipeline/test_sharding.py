"""Shards: several runs over the same pictures into one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from batch_steps import Inverse, folder

from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.manifest import DRAFTS, Manifest
from restore.pipeline.sharding import Shard


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", "1.0/2"])
def test_what_is_no_shard_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(ValueError, match="use "):
        Shard.parse(text)
    assert Shard.parse(" 2/8 ") == Shard(2, 8)


def test_every_picture_is_in_one_shard_and_they_are_about_equal() -> None:
    names = [Path(f"day {index % 7}/scan {index}.dcm") for index in range(4000)]
    shards = [Shard(index, 5) for index in range(1, 6)]
    held = [[name for name in names if shard.holds(name)] for shard in shards]
    assert sorted(name for part in held for name in part) == sorted(names)
    assert all(700 < len(part) < 900 for part in held)
    assert all(Shard(1, 1).holds(name) for name in names)


def test_shards_together_are_the_whole_run(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", 9)
    whole = run(Inverse(), [source], tmp_path / "whole")
    reports = [run(Inverse(), [source], tmp_path / "parts", BatchOptions(shard=Shard(index, 3))) for index in (2, 3, 1)]
    assert [report.planned for report in reports] == [report.done for report in reports]
    assert sum(report.done for report in reports) == whole.done == 9
    assert all(re.fullmatch(rf"shard . of 3: {report.planned} of 9 pictures", report.remarks[0]) for report in reports)
    for record in whole.records:
        assert record.output is not None
        part = tmp_path / "parts" / record.output.relative_to(tmp_path / "whole")
        assert part.read_bytes() == record.output.read_bytes()
    # a whole run takes the shards' results for its own, and a shard those of a whole run
    assert run(Inverse(), [source], tmp_path / "parts").skipped == 9
    again = run(Inverse(), [source], tmp_path / "whole", BatchOptions(shard=Shard(1, 2)))
    assert (again.done, again.skipped) == (0, again.planned)


def test_shards_share_the_folder_but_not_with_a_whole_run_nor_with_themselves(tmp_path: Path) -> None:
    first, second = Shard(1, 2), Shard(2, 2)
    with Manifest(tmp_path, {}, first), Manifest(tmp_path, {}, second):
        with pytest.raises(ValueError, match="another run of this shard is writing to"), Manifest(tmp_path, {}, first):
            pass
        with pytest.raises(ValueError, match="another run is writing to"), Manifest(tmp_path, {}):
            pass
    with Manifest(tmp_path, {}), pytest.raises(ValueError, match="another run is writing to"), Manifest(tmp_path, {}, first):
        pass
    with Manifest(tmp_path, {}):
        pass


def test_a_shard_leaves_the_unfinished_files_of_another(tmp_path: Path) -> None:
    first, second = (Manifest(tmp_path, {}, Shard(index, 2)) for index in (1, 2))
    with first:
        draft = first.temporary(tmp_path / "a.png")
        draft.write_bytes(b"half")
        with second:
            assert second.temporary(tmp_path / "a.png") != draft
        assert draft.read_bytes() == b"half"
        left = draft.with_name("left")
    left.parent.mkdir()
    left.write_bytes(b"of a killed shard")
    with second:
        assert left.exists()
    with Manifest(tmp_path, {}):
        assert not list(tmp_path.glob(f".restore/{DRAFTS}*"))


def test_a_read_only_folder_still_skips(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", 4)
    run(Inverse(), [source], tmp_path / "out")
    private = tmp_path / "out" / ".restore"
    private.chmod(0o555)
    try:
        report = run(Inverse(), [source], tmp_path / "out", BatchOptions(shard=Shard(1, 2)))
    finally:
        private.chmod(0o755)
    assert report.skipped == report.planned
