"""Whatever a file holds, it costs one picture: thousands of mutants from a fixed seed, and hypothesis' own. Long form: __main__.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import fuzz_harness
import pytest
from fuzz_anatomy import dissect
from fuzz_folder import Slow, fill, wrong
from fuzz_harness import RIGHT, Worker, cases, tally, worker
from fuzz_mutations import drawn_kinds, mutant
from fuzz_samples import kinds, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restore.pipeline.batch import run

CASES, SEED = 3000, 3


@pytest.fixture(scope="module")
def process() -> Iterator[Worker]:
    """A worker for the tests of this file."""
    with worker() as made:
        yield made


def test_every_sample_is_restored_as_it_is(process: Worker) -> None:
    wrong = {sample.name: outcome for sample in samples() if (outcome := process.run(sample.kind, sample.data)).name != "restored"}
    assert wrong == {}


def test_every_sample_is_taken_apart() -> None:
    """Fields and segments are found in all of them, and where each says its size; a deflated file is taken apart behind its compression."""
    for sample in samples():
        anatomy = dissect(sample.kind, sample.data)
        assert len(anatomy.fields) >= 3 and anatomy.segments, sample.name
        if sample.kind != "dicom deflated" and sample.name not in ("lossless.webp", "lossless-alpha.webp"):
            assert anatomy.sides, sample.name


def test_a_case_depends_on_its_seed_and_number_alone() -> None:
    first, second = list(cases(60, 1)), list(cases(60, 1))
    assert first == second
    assert [case.data for case in first] != [case.data for case in cases(60, 2)]
    assert {case.kind for case in first} == set(kinds())


def test_some_thousand_mutants() -> None:
    found = tally(cases(CASES, SEED))
    assert not found.findings, f"\n{found.told()}\n{found.table()}"
    both = {name: sum(found.counts[kind, name] for kind in kinds()) for name in RIGHT}
    assert min(both.values()) > CASES / 10, both  # else the mutants are too tame or too wild to tell anything


@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(set(drawn_kinds()))), random=st.randoms(use_true_random=False))
def test_mutants_that_hypothesis_chooses(process: Worker, kind: str, random: Random) -> None:
    sample, data = mutant(kind, random)
    outcome = process.run(kind, data)
    assert outcome.right, f"{sample.name}: {outcome}"


def test_mutants_cost_good_pictures_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "in", 75, 25, SEED)
    report = run(Slow(0), [tmp_path / "in"], tmp_path / "out")
    assert wrong(report, tmp_path / "in", 25) == []
    assert report.failed > 20


def test_a_case_that_takes_too_long_is_a_finding_and_the_next_one_runs(process: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = samples()[0]
    with monkeypatch.context() as hurried:
        hurried.setattr(fuzz_harness, "LIMIT", 0.0)
        assert process.run(sample.kind, sample.data).name == "hang"
    assert process.run(sample.kind, sample.data).name == "restored"
