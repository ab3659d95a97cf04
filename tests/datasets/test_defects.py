"""Wear of old prints: seeded, of every kind, none where none is asked for, and apart from what makes the whole picture old."""

from __future__ import annotations

import numpy as np
import pytest
from restore.datasets.wear import KINDS, WearConfig

from restore.datasets import wear


def _picture(channels: int = 1) -> np.ndarray:
    return np.full((96, 128, channels), 0.5, np.float32)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_mark_covers_some_of_the_picture_and_never_all(kind: str) -> None:
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
def test_wear_is_its_seeds_alone_and_stays_a_picture(channels: int) -> None:
    config, picture = WearConfig(unworn_share=0.0), _picture(channels)
    first, second, other = (wear.wear(picture, np.random.default_rng(seed), config=config)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1
    assert first.shape == picture.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert 0.0005 < (np.abs(first - picture).max(2) > 0.05).mean() < 0.6
    np.testing.assert_array_equal(picture, _picture(channels))


def test_what_is_marked_is_what_is_to_be_seen() -> None:
    picture = _picture(3)
    worn = picture.copy()
    worn[10:12, 20:60] += 0.3
    worn[40, 20:60] += 0.01  # nobody sees that
    marked = wear.marked(picture, worn)
    assert marked.shape == picture.shape
    assert marked[10:12, 20:60].all()
    assert marked.sum() == 2 * 40 * 3


def test_some_are_not_worn_at_all() -> None:
    picture = _picture()
    made = [wear.wear(picture, np.random.default_rng(seed), config=WearConfig(unworn_share=0.5))[0] for seed in range(40)]
    assert 8 < sum(np.array_equal(one, picture) for one in made) < 32


@pytest.mark.parametrize("channels", [1, 3])
def test_ageing_keeps_the_picture_in_range(channels: int) -> None:
    picture = np.random.default_rng(0).random((48, 64, channels), np.float32)
    for seed in range(10):
        aged = wear.age(picture, np.random.default_rng(seed), config=WearConfig())
        assert aged.shape == picture.shape
        assert aged.dtype == np.float32
        assert 0 <= aged.min() <= aged.max() <= 1


@pytest.mark.parametrize(
    ("settings", "word"), [({"marks": (0, 3)}, "marks"), ({"marks": (5, 3)}, "marks"), ({"dark_share": 1.5}, "dark_share")]
)
def test_unusable_settings_are_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        WearConfig(**settings)  # type: ignore[arg-type]
