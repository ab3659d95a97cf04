"""Weights and doctor on the command line: texts from files are printed and cannot move the cursor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from restore_cli import main
from restore_cli.printable import lines, printable

from restore import weights

Run = Callable[..., tuple[int, str, str]]
EVIL = "a\x1b[31mb\u202ec\x07"


@pytest.fixture
def restore(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line; gives the exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        code = stop.value.code or 0
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return call


def _harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture
def evil(own_weights: Path, weights_file: Callable[..., Path]) -> Path:
    """Weights whose name, recipe, card and neighbours are written to do harm."""
    path = weights_file(own_weights / f"{EVIL}\nb.safetensors", task="denoise", note=EVIL)
    path.with_suffix(".md").write_text(f"# {EVIL}\n\n- for: x-rays{EVIL}\n- licence: free{EVIL}\n")
    weights_file(own_weights / "word.safetensors", task=EVIL)
    os.mkfifo(own_weights / "pipe.safetensors")
    (own_weights / f"broken{EVIL}.safetensors").write_bytes(b"no weights")
    (own_weights / "folder.safetensors").mkdir()
    weights_file(Path("runs") / "denoise-gray" / "denoise-gray.safetensors")
    return own_weights


def test_list_gives_each_its_line(restore: Run, evil: Path) -> None:
    code, out, err = restore("weights", "list")
    assert (code, err) == (0, "")
    assert _harmless(out)
    printed = out.splitlines()
    assert sum("cannot be used" in line for line in printed) == 3
    assert sum("use this one by its path" in line and "runs/denoise-gray" in line for line in printed) == 1
    assert any(line.startswith(printable(EVIL)) and "x-rays" in line for line in printed)
    rows = [json.loads(line) for line in restore("weights", "list", "--json")[1].splitlines()]
    assert len(rows) == len(printed)
    assert sum("problem" in row for row in rows) == 3
    assert [row["by_name"] for row in rows if row["name"] == "denoise-gray"] == [True, False]


def test_verify_and_doctor_go_on(restore: Run, evil: Path) -> None:
    code, out, _ = restore("weights", "verify")
    assert code == 1
    assert _harmless(out)
    assert "denoise-xray: fine" in out and "pipe: " in out and "folder: " in out
    code, out, _ = restore("doctor")
    assert code == 1
    assert _harmless(out)
    assert sum(line.startswith(" bad ") for line in out.splitlines()) == 3
    assert sum("ok" in line[:5] and "weights denoise" in line for line in out.splitlines()) == 5
    findings = [json.loads(line) for line in restore("doctor", "--json")[1].splitlines()]
    assert sum(finding["state"] == "bad" for finding in findings) == 3


def test_show_and_errors_are_printable(restore: Run, evil: Path) -> None:
    name = f"{EVIL}\nb"
    code, out, _ = restore("weights", "show", name)
    assert code == 0
    assert _harmless(out) and "- licence: free" in out
    for arguments in (
        ("weights", "show", EVIL), ("weights", "add", evil / f"broken{EVIL}.safetensors"),
        ("denoise", ".", "--out", "o", "--weights", EVIL),
        ("train", EVIL, "."), ("train", "denoise", EVIL), ("train", "denoise", ".", "--config", EVIL),
        ("train", "denoise", ".", "--set", f"start_from={EVIL}"), ("train", "denoise", ".", "--set", f"{EVIL}=1"),
        ("train", "denoise", ".", "--out", f"runs/{EVIL}"),
    ):  # fmt: skip
        code, out, err = restore(*arguments)
        assert code == 2, arguments
        printed = err.removeprefix("getting ready\n")
        assert _harmless(out + err) and printed.count("\n") == 1, (arguments, err)


def test_adding_the_case_of_integer_keys_is_a_usage_error(restore: Run, own_weights: Path, tmp_path: Path) -> None:
    import torch

    torch.save({0: torch.zeros(1, 1, 3, 3)}, tmp_path / "a.pth")
    code, _, err = restore("weights", "add", tmp_path / "a.pth")
    assert code == 2 and "only names and tensors" in err
    assert not list(own_weights.iterdir())


def test_a_run_that_is_running_or_was_stopped_is_listed(restore: Run, own_weights: Path, weights_file: Callable[..., Path]) -> None:
    assert own_weights.is_dir()
    path = weights_file(Path("runs") / "mine" / "mine.safetensors")
    shutil.copy(path, path.with_name(".mine.safetensors.77"))  # a draft is no weights file
    _, out, _ = restore("weights", "list")
    assert sum(line.startswith("mine ") for line in out.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a b"), ("käse", "käse"), ("a\nb", "a\\nb"), ("\x1b[2J", "\\x1b[2J"), ("\u202e", "\\u202e"), ("\u200f", "\\u200f"),
        ("\udcff", "\\udcff"), ("\u2028", "\\u2028"), ("\x7f", "\\x7f"), ("\u2066x\u2069", "\\u2066x\\u2069"), ("日本", "日本"),
    ],
)  # fmt: skip
def test_cursor_control_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert lines(f"{text}\nb") == lines(text) + "\nb"


def test_small_files_are_counted_in_kilobytes(restore: Run, own_weights: Path, weights_file: Callable[..., Path]) -> None:
    path = weights_file(own_weights / "small.safetensors")
    (line,) = [line for line in restore("weights", "list")[1].splitlines() if line.startswith("small")]
    assert f"{path.stat().st_size / 1e3:.1f} KB" in line and "0.0 MB" not in line


def test_show_sums_up_lists_and_json_has_all(restore: Run, own_weights: Path, weights_file: Callable[..., Path]) -> None:
    bands = [{"low": 1.25, "ranges": {"energy": [0, 1]}}] * 3
    weights_file(own_weights / "known.safetensors", calibration={"a": {"bands": bands, "pictures": "photographs"}})
    out = restore("weights", "show", "known")[1]
    assert "bands: 3 entries" in out and 'pictures: "photographs"' in out and "1.25" not in out
    assert json.loads(restore("weights", "show", "known", "--json")[1])["calibration"]["a"]["bands"] == bands


def test_weights_are_trimmed_to_what_differs_from_their_base(own_weights: Path, weights_file: Callable[..., Path], restore: Run) -> None:
    base, (whole, out) = (
        weights_file(own_weights / "base.safetensors"),
        (own_weights / f"{name}.safetensors" for name in ("whole", "trimmed")),
    )
    tensors, recipe = weights.load(base)
    changed = next(iter(tensors))
    weights.save(whole, {**tensors, changed: tensors[changed] + 1}, recipe)
    code, text, _ = restore("weights", "trim", "whole", "--base", base, "--out", out)
    assert code == 0
    assert "base.safetensors beside it" in text
    assert out.stat().st_size < whole.stat().st_size
    assert weights.digest(weights.load(out)[0]) == weights.digest(weights.load(whole)[0])
    code, _, error = restore("weights", "trim", "whole", "--base", base, "--out", "elsewhere.safetensors")
    assert code == 2
    assert "same folder" in error
    assert "trimmed: fine" in restore("weights", "verify")[1]
