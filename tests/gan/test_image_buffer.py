"""The buffer of past fake images."""

from __future__ import annotations

import copy

import pytest
import torch

from restore.gan.image_buffer import ImageBuffer


def test_a_buffer_fills_and_then_replaces_about_half() -> None:
    buffer = ImageBuffer(10)
    filling = torch.arange(10.0).reshape(10, 1, 1, 1)
    assert torch.equal(buffer.query(filling), filling)
    given = torch.cat([buffer.query(torch.full((1, 1, 1, 1), 100.0 + index)) for index in range(400)])
    old = [value != 100.0 + index for index, value in enumerate(given.flatten().tolist())]
    assert 0.4 < sum(old) / 400 < 0.6
    assert len(buffer.images) == 10


def test_a_buffer_returns_each_image_at_most_once_as_an_old_one() -> None:
    buffer = ImageBuffer(5)
    given = torch.cat([buffer.query(torch.full((1, 1, 1, 1), float(index))) for index in range(200)]).flatten().tolist()
    assert all(given.count(value) <= 2 for value in given)


def test_a_buffer_of_size_zero_returns_its_input() -> None:
    pictures = torch.rand(3, 1, 2, 2)
    assert ImageBuffer(0).query(pictures) is pictures
    with pytest.raises(ValueError, match="-1"):
        ImageBuffer(-1)


def test_a_buffer_resumes_as_if_it_had_never_stopped() -> None:
    first, second = ImageBuffer(4, seed=1), ImageBuffer(4, seed=2)
    for index in range(9):
        first.query(torch.full((1, 1, 1, 1), float(index)))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for index in range(20):
        fake = torch.full((2, 1, 1, 1), 100.0 + index)
        assert torch.equal(first.query(fake), second.query(fake))


def test_a_loaded_buffer_of_another_shape_or_size_is_adapted() -> None:
    saved = ImageBuffer(4)
    saved.query(torch.rand(4, 1, 8, 8))
    resumed = ImageBuffer(4, seed=3)
    resumed.load_state_dict(copy.deepcopy(saved.state_dict()))
    for _ in range(5):
        assert resumed.query(torch.rand(2, 1, 16, 16)).shape == (2, 1, 16, 16)
    assert [image.shape for image in resumed.images] == [(1, 16, 16)] * 4
    smaller = ImageBuffer(3)
    smaller.load_state_dict(copy.deepcopy(saved.state_dict()))
    assert len(smaller.images) == 3
