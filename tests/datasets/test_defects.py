"""Defects of old prints: seeded, of every kind, none where none is asked for, and separate from the global degradation."""

from __future__ import annotations

import numpy as np
import pytest

from restore.datasets import defects
from restore.datasets.defects import KINDS, DefectConfig


def _picture(channels: int = 1) -> np.ndarray:
    return np.full((96, 128, channels), 0.5, np.float32)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_defect_covers_some_of_the_picture_and_never_all(kind: str) -> None:
    covers = [KINDS[kind](96, 128, np.random.default_rng(seed)) for seed in range(12)]
    for cover in covers:
        assert cover.shape == (96, 128)
        assert cover.dtype == np.float32
        assert cover.min() >= 0
        assert cover.max() <= 1
        assert (cover > 0.5).mean() < 0.5
    assert sum(bool((cover > 0).any()) for cover in covers) > 8
    assert not np.array_equal(covers[0], covers[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_defects_depend_on_the_seed_alone_and_stay_in_range(channels: int) -> None:
    config, picture = DefectConfig(clean_fraction=0.0), _picture(channels)
    first, second, other = (defects.add_defects(picture, np.random.default_rng(seed), config=config)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1
    assert first.shape == picture.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert 0.0005 < (np.abs(first - picture).max(2) > 0.05).mean() < 0.6
    np.testing.assert_array_equal(picture, _picture(channels))


def test_the_mask_holds_what_is_visible() -> None:
    picture = _picture(3)
    degraded = picture.copy()
    degraded[10:12, 20:60] += 0.3
    degraded[40, 20:60] += 0.01  # nobody sees that
    mask = defects.defect_mask(picture, degraded)
    assert mask.shape == picture.shape
    assert mask[10:12, 20:60].all()
    assert mask.sum() == 2 * 40 * 3


def test_some_crops_have_no_defects() -> None:
    picture = _picture()
    results = [defects.add_defects(picture, np.random.default_rng(seed), config=DefectConfig(clean_fraction=0.5))[0] for seed in range(40)]
    assert 8 < sum(np.array_equal(one, picture) for one in results) < 32


@pytest.mark.parametrize("channels", [1, 3])
def test_global_degradation_keeps_the_range(channels: int) -> None:
    picture = np.random.default_rng(0).random((48, 64, channels), np.float32)
    for seed in range(10):
        degraded = defects.degrade_globally(picture, np.random.default_rng(seed), config=DefectConfig())
        assert degraded.shape == picture.shape
        assert degraded.dtype == np.float32
        assert 0 <= degraded.min() <= degraded.max() <= 1


@pytest.mark.parametrize(
    ("settings", "word"), [({"count": (0, 3)}, "count"), ({"count": (5, 3)}, "count"), ({"dark_fraction": 1.5}, "dark_fraction")]
)
def test_unusable_settings_are_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        DefectConfig(**settings)  # type: ignore[arg-type]
