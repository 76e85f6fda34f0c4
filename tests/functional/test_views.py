"""Views of items for self-supervised training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.views import (
    feature_view,
    image_view,
    spectrogram_view,
    text_view,
    view_of,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_view_depends_on_the_seed_alone() -> None:
    batches = dict(
        image=torch.randn(3, 3, 8, 8), text=torch.randint(1, 9, (3, 12)), audio=torch.randn(3, 9)
    )
    for modality, inputs in batches.items():
        before = inputs.clone()
        first, again = (view_of(modality, inputs, seeded()) for _ in range(2))
        assert torch.equal(first, again) and first.shape == inputs.shape
        assert not torch.equal(first, view_of(modality, inputs, seeded(1)))
        assert torch.equal(inputs, before)


def test_an_image_is_flipped_turned_and_cropped() -> None:
    flat = torch.full((4, 3, 8, 8), 2.0)
    torch.testing.assert_close(image_view(flat, seeded(), noise=0.0), flat)
    images = torch.randn(64, 1, 6, 6)
    flips = image_view(images, seeded(), turn=0.0, zoom=1.0, noise=0.0)
    expected = [images, images.flip(2), images.flip(3), images.flip(2, 3)]
    kinds = torch.stack(
        [torch.isclose(flips, item, atol=1e-4).flatten(1).all(dim=1) for item in expected]
    )
    assert bool(kinds.any(dim=0).all()) and bool((kinds.sum(dim=1) > 5).all())
    # A ramp keeps its direction and loses the ends that are cropped.
    ramp = torch.linspace(-1, 1, 32).expand(16, 1, 32, 32)
    cropped = image_view(ramp, seeded(), turn=0.0, zoom=0.5, noise=0.0)
    spread = cropped.amax(dim=(1, 2, 3)) - cropped.amin(dim=(1, 2, 3))
    assert bool((spread > 0.9).all()) and bool((spread < 1.99).all())


def texts() -> Tensor:
    rows = torch.arange(1, 13).repeat(200, 1)
    rows[100:, 9:] = 0
    rows[150:, 2:] = 0
    return rows


def test_words_are_left_out_and_one_span_shuffled() -> None:
    rows = texts()
    shuffled = text_view(rows, seeded(), drop=0.0, span=3)
    assert torch.equal(shuffled.sort(dim=1).values, rows.sort(dim=1).values)
    moved = (shuffled != rows).sum(dim=1)
    assert moved.max() == 3 and (moved[:150] > 0).float().mean() > 0.5
    assert moved[150:].max() == 0, 'two tokens have no inside'
    dropped = text_view(rows, seeded(), drop=0.3, span=0)
    lengths = (dropped != 0).sum(dim=1)
    assert 0.6 < (lengths[:100] - 2).float().mean() / 10 < 0.8
    for before, after, length in zip(rows, dropped, lengths):
        kept = after[:length]
        assert bool((after[length:] == 0).all()) and bool((kept.diff() > 0).all())
        assert kept[0] == before[0] and kept[-1] == before.max()


def test_another_padding() -> None:
    rows = torch.tensor([[5, 6, 7, 8, 1, 1]])
    assert sorted(text_view(rows, seeded(), pad_id=1, drop=0.0)[0].tolist()) == [1, 1, 5, 6, 7, 8]
    assert text_view(rows, seeded(), pad_id=1, drop=1.0)[0].tolist() == [5, 8, 1, 1, 1, 1]
    assert text_view(torch.zeros(2, 4, dtype=torch.long), seeded()).sum() == 0


def test_bands_of_a_spectrogram_are_hidden() -> None:
    images = torch.ones(50, 1, 20, 40)
    view = spectrogram_view(images, seeded(), masks=1, time_width=0.5, mel_width=0.0)
    hidden = view == 0
    columns = hidden.all(dim=2)
    assert torch.equal(hidden, columns[:, :, None].expand_as(hidden)), 'time alone'
    assert 0 < columns.float().mean() < 0.5 and columns.sum(dim=2).max() <= 21
    view = spectrogram_view(images, seeded(), masks=1, time_width=0.0, mel_width=0.5)
    assert bool((view == 0).all(dim=3).any()) and not bool((view == 0).all(dim=2).any())


@pytest.mark.parametrize('drop', [0.0, 0.5, 1.0])
def test_coordinates_of_features_are_hidden(drop: float) -> None:
    feats = torch.ones(40, 50)
    assert abs(float((feature_view(feats, seeded(), drop) == 0).float().mean()) - drop) < 0.05
