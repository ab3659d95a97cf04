"""`restore denoise --adapt`: weights of another kind of noise become better on the folder's, or the given ones stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import restore
from restore import networks, weights
from restore.pipeline.batch import Interrupted
from restore.runtime import Runtime
from restore.tasks import adaptation
from restore.tasks.adaptation import adapt
from restore.tasks.adaptation_judgement import Judgement
from restore.tasks.denoise import GRAY

Smooth = Callable[..., np.ndarray]


@pytest.fixture
def folder(tmp_path: Path, smooth: Smooth) -> Path:
    """Noisy pictures of 16 bits."""
    (tmp_path / "in").mkdir()
    for seed in range(5):
        picture = smooth(112, 112, seed=seed)[:, :, 0] + np.random.default_rng(seed).normal(0, 0.06, (112, 112))
        tifffile.imwrite(tmp_path / "in" / f"{seed}.tif", np.rint(np.clip(picture, 0, 1) * 65535).astype(np.uint16))
    return tmp_path / "in"


@pytest.fixture
def given(own_weights: Path, weights_file: Callable[..., Path]) -> weights.Entry:
    """The weights of a tiny network that was not trained."""
    return weights.entry(weights_file(own_weights / "tiny.safetensors"))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adaptation of some steps instead of minutes."""
    monkeypatch.setattr(adaptation, "_until", lambda minutes: lambda done: done < 25)
    monkeypatch.setattr(adaptation, "CROP", 32)


@pytest.mark.usefixtures("short")
def test_a_folder_is_restored_with_weights_adapted_to_it(folder: Path, tmp_path: Path, given: weights.Entry, smooth: Smooth) -> None:
    plain = restore.run("denoise", folder, tmp_path / "plain", weights=given.path, precision="fp32")
    report = restore.run("denoise", folder, tmp_path / "out", weights=given.path, options={"adapt": True}, precision="fp32")
    assert not report.failed
    (text,) = report.remarks
    name = str(report.records[0].stats["weights"])
    assert name.startswith("tiny-adapted-") and name in text and "dB on 2 held-out ones" in text
    assert not plain.failed

    def error(out: str) -> float:
        pairs = [(tifffile.imread(tmp_path / out / f"{seed}.tif") / 65535, smooth(112, 112, seed=seed)[:, :, 0]) for seed in range(5)]
        return float(np.mean([np.square(restored - clean).mean() for restored, clean in pairs]))

    assert error("out") < 0.9 * error("plain")
    again = restore.run("denoise", folder, tmp_path / "out", weights=given.path, options={"adapt": True}, precision="fp32")
    assert "before" in again.remarks[0]
    assert all(record.status == "skipped" for record in again.records)
    kept = weights.find(name)
    assert kept.recipe["adapted"]["from"] == "tiny"
    tensors, recipe = weights.load(kept.path)
    weights.save(kept.path, tensors, {**recipe, "adapted": 5})
    again = restore.run("denoise", folder, tmp_path / "out2", weights=given.path, options={"adapt": True}, precision="fp32")
    assert again.remarks[0].endswith("adapted to these pictures before")
    kept.path.write_bytes(kept.path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=rf"{name}.*cannot be used: remove it to adapt again"):
        restore.run("denoise", folder, tmp_path / "out3", weights=given.path, options={"adapt": True}, precision="fp32")


@pytest.mark.usefixtures("short")
def test_the_same_steps_give_the_same_weights(folder: Path, given: weights.Entry, fp32: Runtime) -> None:
    made = []
    for _ in range(2):
        entry = (
            adapt(given, sorted(folder.glob("*")), fp32, 1, steps=3).entry
            or adapt(given, sorted(folder.glob("*")), fp32, 1, steps=12).entry
        )
        assert entry is not None
        made.append(weights.load(entry.path)[0])
        entry.path.unlink()
    assert all(torch.equal(value, made[1][name]) for name, value in made[0].items())


def test_why_weights_were_not_adapted(folder: Path, tmp_path: Path, given: weights.Entry, fp32: Runtime, smooth: Smooth) -> None:
    files = sorted(folder.glob("*"))
    assert "another to judge by" in adapt(given, files[:1], fp32, 1).text
    for seed in range(3):
        tifffile.imwrite(tmp_path / f"{seed}.tif", (smooth(96, 96, seed=seed)[:, :, 0] * 65535).astype(np.uint16))
    result = adapt(given, sorted(tmp_path.glob("*.tif")), fp32, 1)
    assert result.entry is None and "hardly any noise" in result.text


def test_ctrl_c_while_adapting_leaves_nothing_half(
    folder: Path, tmp_path: Path, given: weights.Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(done: int) -> bool:
        raise KeyboardInterrupt

    before = sorted(given.path.parent.iterdir())
    monkeypatch.setattr(adaptation, "_until", lambda minutes: stopped)
    with pytest.raises(KeyboardInterrupt) as caught:
        restore.run("denoise", folder, tmp_path / "out", weights=given.path, options={"adapt": True}, precision="fp32")
    assert not isinstance(caught.value, Interrupted)
    assert sorted(given.path.parent.iterdir()) == before
    assert not restore.run("denoise", folder, tmp_path / "out", weights=given.path, precision="fp32").failed


def test_the_shipped_networks_can_be_trained_on(fp32: Runtime) -> None:
    tensors, recipe = weights.load(weights.find(GRAY).path)
    network = adaptation._network(recipe, tensors)
    assert network.spec.takes_noise
    assert isinstance(network, type(networks.build(recipe["network"], **recipe["settings"])))


@pytest.mark.usefixtures("short")
def test_terms_follow_and_a_faster_run_wins(
    folder: Path, given: weights.Entry, fp32: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    given.path.with_suffix(".md").write_text("# tiny\n\n- for: scans\n- licence: CC BY 4.0\n", encoding="utf-8")
    files, entry = sorted(folder.glob("*")), weights.entry(given.path)
    made = adapt(entry, files, fp32, 1.0).entry
    assert made is not None and (made.purpose, made.licence) == ("scans", "CC BY 4.0")
    content = made.path.read_bytes()
    made.path.unlink()

    def slower(*args: object, **kwargs: object) -> object:
        found = fine_tuned(*args, **kwargs)  # type: ignore[arg-type]
        made.path.write_bytes(content)  # by another run, meanwhile
        return found

    fine_tuned = adaptation.fine_tuned
    monkeypatch.setattr(adaptation, "fine_tuned", slower)
    again = adapt(entry, files, fp32, 1.0)
    assert again.entry is not None and "before" in again.text and made.path.read_bytes() == content


@pytest.mark.usefixtures("short")
def test_a_decision_against_them_is_kept(folder: Path, given: weights.Entry, fp32: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "judge", lambda *_: Judgement(0.0, 0.0, 0.0))
    files = sorted(folder.glob("*"))
    assert "not used" in adapt(given, files, fp32, 1.0).text
    monkeypatch.setattr(adaptation, "fine_tuned", lambda *_, **__: pytest.fail("it was trained again"))
    text = adapt(given, files, fp32, 0.5).text
    assert "judged before" in text and "+0.00 dB" in text
    with pytest.raises(pytest.fail.Exception):
        adapt(given, files, fp32, 2.0)


def test_a_folder_that_takes_no_weights_is_named_first(
    folder: Path, given: weights.Entry, fp32: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("RESTORE_WEIGHTS", str(folder.parent / "file" / "weights"))
    monkeypatch.setattr(adaptation, "fine_tuned", lambda *_, **__: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match=r"cannot be kept in .*set RESTORE_WEIGHTS"):
        adapt(given, sorted(folder.glob("*")), fp32, 1.0)
