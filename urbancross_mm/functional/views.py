"""A second look at the items of a batch: views to train on without labels, and to search by.

Each is drawn for every row by a generator on the CPU, so that the same seed gives the same view on
any device; only the noise of images is drawn where they are. N rows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from urbancross_mm.functional.spectrogram import mask_boxes


def numbered_generator(*numbers: int) -> torch.Generator:
    """A generator that numbers decide; numbers that differ in one place give unrelated draws.

    Args:
        numbers (int): From 0, of any size.

    Returns:
        torch.Generator: On the CPU.
    """
    state = np.random.SeedSequence(numbers).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


def image_view(
    images: Tensor,
    generator: torch.Generator,
    turn: float = 90.0,
    zoom: float = 0.8,
    noise: float = 0.05,
) -> Tensor:
    """Flip, turn and crop images, and add noise, all in one resampling.

    Seen from above, a scene has no upright, so any turn is natural. What a turn brings in from
    outside of the image is its reflection. Images are taken for square.

    Args:
        images (Tensor): Normalized images.
        generator (torch.Generator): On the CPU.
        turn (float): Largest angle in degrees. Defaults to 90.0, as MCRN.
        zoom (float): Smallest side of the crop, as a part of the image. Defaults to 0.8.
        noise (float): Standard deviation of the noise, in that of a normalized image.
            Defaults to 0.05.

    Shape:
        - images, output: ``(N, C, H, W)``.

    Returns:
        Tensor: New images.
    """
    angle, side, *flips = torch.rand(4, len(images), generator=generator).unbind()
    angle, side = angle * math.radians(turn), 1 - side * (1 - zoom)
    across, down = (side * (2 * (flip < 0.5) - 1) for flip in flips)
    room = (1 - side) * (2 * torch.rand(2, len(images), generator=generator) - 1)
    rows = [
        torch.stack([across * angle.cos(), -down * angle.sin(), room[0]], dim=1),
        torch.stack([across * angle.sin(), down * angle.cos(), room[1]], dim=1),
    ]
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    views = grid_sample(images, grid.to(images), padding_mode='reflection', align_corners=False)
    if not noise:
        return views
    # A number for every pixel takes longer on the CPU than the step of a model on a GPU.
    seed = int(torch.randint(2**31, (), generator=generator))
    drawn = torch.Generator(images.device).manual_seed(seed)
    return views + noise * torch.randn(images.shape, generator=drawn, device=images.device).to(
        views
    )


def text_view(
    tokens: Tensor,
    generator: torch.Generator,
    pad_id: int = 0,
    drop: float = 0.1,
    span: int = 3,
) -> Tensor:
    """Leave out words of texts, and shuffle the words of one span of each.

    The first and the last token stay in their places: they may mark the ends of a text.

    Args:
        tokens (Tensor): Token ids, padded at the end.
        generator (torch.Generator): On the CPU.
        pad_id (int): Id of the padding. Defaults to 0.
        drop (float): Probability that a word is left out. Defaults to 0.1.
        span (int): Words that change their order. Defaults to 3.

    Shape:
        - tokens, output: ``(N, L)``.

    Returns:
        Tensor: New ids; what was left out is padding at the end.
    """
    count, width = tokens.shape
    device = tokens.device
    position = torch.arange(width, device=device)
    length = ((tokens != pad_id) * (position + 1)).amax(dim=1, keepdim=True)  # (N, 1)
    inside = (position > 0) & (position < length - 1)
    draws = torch.rand(3, count, width, generator=generator).to(device)
    dropped = inside & (draws[0] < drop)
    start = 1 + (draws[1, :, :1] * (length - 1 - span).clamp(min=1)).floor()
    end = torch.minimum(start + span, length - 1)
    shuffled = inside & (position >= start) & (position < end)
    place = torch.where(shuffled, start + draws[2] * (end - start), position.to(draws))
    order = place.masked_fill(dropped, width).argsort(dim=1, stable=True)
    kept = position < length - dropped.sum(dim=1, keepdim=True)
    return tokens.gather(1, order).masked_fill(~kept, pad_id)


def spectrogram_view(
    images: Tensor,
    generator: torch.Generator,
    masks: int = 2,
    time_width: float = 0.1,
    mel_width: float = 0.2,
) -> Tensor:
    """Hide bands of time and of frequency of spectrograms, as SpecAugment does.

    Args:
        images (Tensor): Normalized spectrograms; hidden points get 0, the mean.
        generator (torch.Generator): On the CPU.
        masks (int): Bands of each kind. Defaults to 2.
        time_width (float): Largest width of a band of time, as a part of the image.
            Defaults to 0.1.
        mel_width (float): Largest height of a band of frequency, in the same way. Defaults to 0.2.

    Shape:
        - images, output: ``(N, C, mel bands, frames)``.

    Returns:
        Tensor: New images.

    Reference:
        https://arxiv.org/abs/1904.08779
    """
    boxes = torch.tensor([0.0, 1.0, 0.0, 1.0]).repeat(len(images), 2 * masks, 1)
    size = torch.rand(len(images), 2 * masks, generator=generator)
    size = size * torch.tensor([time_width] * masks + [mel_width] * masks)
    start = torch.rand(size.shape, generator=generator) * (1 - size)
    bands = torch.stack([start, start + size], dim=2)
    boxes[:, :masks, 2:] = bands[:, :masks]
    boxes[:, masks:, :2] = bands[:, masks:]
    return mask_boxes(images, boxes)


def feature_view(feats: Tensor, generator: torch.Generator, drop: float = 0.1) -> Tensor:
    """Set coordinates of features to 0.

    Args:
        feats (Tensor): Features that were computed beforehand.
        generator (torch.Generator): On the CPU.
        drop (float): Probability of a coordinate. Defaults to 0.1.

    Shape:
        - feats, output: ``(N, C)``.

    Returns:
        Tensor: New features.
    """
    return feats * (torch.rand(feats.shape, generator=generator) >= drop).to(feats)


def view_of(modality: str, inputs: Tensor, generator: torch.Generator, pad_id: int = 0) -> Tensor:
    """A view by what the inputs are: token ids, features, images or spectrograms.

    Args:
        modality (str): ``'image'``, or the name of another modality.
        inputs (Tensor): Its inputs.
        generator (torch.Generator): On the CPU.
        pad_id (int): Id of the padding of token ids. Defaults to 0.

    Returns:
        Tensor: Of the same shape, on the same device.
    """
    if not inputs.is_floating_point():
        return text_view(inputs, generator, pad_id)
    if inputs.dim() == 2:
        return feature_view(inputs, generator)
    return (image_view if modality == 'image' else spectrogram_view)(inputs, generator)
