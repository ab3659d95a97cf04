"""Holes to learn from: seeded, of the fraction that their preset says, and never all or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from restore.datasets import masks
from restore.datasets.masks import KINDS, PRESETS, MaskConfig
from restore.networks.inpainter import HOLE


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("size", [(64, 64), (96, 160), (256, 256)])
def test_a_mask_is_its_seeds_alone_and_of_the_presets_fraction(preset: str, size: tuple[int, int]) -> None:
    config, fractions = MaskConfig(preset=preset), []  # type: ignore[arg-type]
    for seed in range(12):
        mask = masks.draw(*size, np.random.default_rng(seed), config)
        assert mask.shape == (*size, 1)
        assert set(np.unique(mask)) == {0.0, 1.0}
        assert mask.mean() <= PRESETS[preset].fraction[1]
        fractions.append(mask.mean())
        np.testing.assert_array_equal(mask, masks.draw(*size, np.random.default_rng(seed), config))
    assert np.mean(fractions) > PRESETS[preset].fraction[0]


def test_wide_holes_are_wider_than_narrow_ones() -> None:
    def width(preset: str) -> float:
        from restore.inference.inpainter import width_of

        config = MaskConfig(preset=preset, kinds=("strokes", "boxes", "blobs"))  # type: ignore[arg-type]
        return float(np.mean([width_of(masks.draw(256, 256, np.random.default_rng(seed), config)[:, :, 0] > 0) for seed in range(10)]))

    narrow, medium, wide = (width(preset) for preset in ("narrow", "medium", "wide"))
    assert 2 * narrow < medium < wide / 1.5


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_draws_something(kind: str) -> None:
    drawn = [masks.draw(128, 128, np.random.default_rng(seed), MaskConfig(preset="medium", kinds=(kind,))) for seed in range(6)]
    assert all(mask.any() for mask in drawn)
    assert np.abs(drawn[0] - drawn[1]).max() == 1


def test_damage_takes_the_hole_and_leaves_the_rest() -> None:
    picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    damaged, mask = masks.cut_holes(picture, np.random.default_rng(1), config=MaskConfig())
    assert (damaged[mask[:, :, 0] > 0] == np.float32(HOLE)).all()
    np.testing.assert_array_equal(damaged[mask[:, :, 0] == 0], picture[mask[:, :, 0] == 0])


@pytest.mark.parametrize(("settings", "word"), [({"preset": "huge"}, "preset"), ({"kinds": ("stars",)}, "kinds"), ({"kinds": ()}, "kinds")])
def test_unknown_shapes_are_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        MaskConfig(**settings)  # type: ignore[arg-type]
