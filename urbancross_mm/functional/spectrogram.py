"""Spectrograms of recordings, and the masks that SpecAugment lays over them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

# Power below which there is no sound, where full scale is 1.
SILENCE = 1e-10
# Of 16-bit audio: what is softer everywhere is rounding, such as two channels that cancel.
SMALLEST_STEP = 2**-15


def log_mel(
    waveforms: Tensor,
    lengths: Tensor,
    filters: Tensor,
    window: Tensor,
    hop: int,
    frames: int,
    top_db: float = 80.0,
) -> Tensor:
    """Power in mel bands over time, in decibel below the loudest point of each recording.

    Frame t is centered at sample ``t * hop``; what lies before the first sample, or after the last
    of a recording, is 0. Frames after the end of a recording are silent, so its row depends neither
    on the other recordings nor on their padding. A silent recording is silent everywhere, and so
    is one that never reaches a step of 16-bit audio.

    Args:
        waveforms (Tensor): N recordings, padded.
        lengths (Tensor): Samples of each; what follows must be 0.
        filters (Tensor): Weight of each frequency in each band.
        window (Tensor): Of a frame; at most ``2 * (F - 1)`` samples.
        hop (int): Samples from one frame to the next.
        frames (int): Frames of the output; longer recordings are cut, shorter ones padded.
        top_db (float): Everything further below the loudest point is silent. Defaults to 80.0.

    Shape:
        - waveforms: ``(N, T)``; lengths: ``(N,)``; filters: ``(F, M)``; output:
          ``(N, M, frames)``, low bands first.

    Returns:
        Tensor: From ``-top_db`` (silent) to 0.
    """
    used = num_frames(lengths, hop, frames)
    out = waveforms.new_full((len(waveforms), filters.shape[1], frames), -top_db)
    longest = int(used.max()) if len(used) else 0
    if not longest:
        return out
    n_fft = 2 * (len(filters) - 1)
    # Exactly the samples that the frames see, so that none is left out or made up.
    needed = (longest - 1) * hop + n_fft
    padded = pad(waveforms, (n_fft // 2, needed))[:, :needed]
    spectrum = torch.stft(
        padded, n_fft, hop, len(window), window, center=False, return_complex=True
    )
    power = filters.t() @ spectrum.abs().square()  # (N, M, longest)
    after = torch.arange(longest, device=used.device) >= used[:, None]
    quiet = waveforms.abs().amax(dim=1) < SMALLEST_STEP
    power = power.masked_fill(after[:, None] | quiet[:, None, None], 0)
    peak = power.amax(dim=(1, 2), keepdim=True)
    decibel = 10 * (power.clamp(min=SILENCE).log10() - peak.clamp(min=SILENCE).log10())
    out[..., :longest] = decibel.clamp(min=-top_db).masked_fill(power <= SILENCE, -top_db)
    return out


def num_frames(lengths: Tensor, hop: int, frames: int) -> Tensor:
    """How many frames a recording fills.

    Args:
        lengths (Tensor): Samples of each recording.
        hop (int): Samples from one frame to the next.
        frames (int): At most this many.

    Shape:
        - lengths, output: ``(N,)``.

    Returns:
        Tensor: 0 for a recording without samples.
    """
    return (lengths.sign() + lengths // hop).clamp(max=frames)


def mask_boxes(images: Tensor, boxes: Tensor, fill: float = 0.0) -> Tensor:
    """Fill boxes of images.

    Args:
        images (Tensor): N images.
        boxes (Tensor): B boxes of each: top, bottom, left, right, as parts of height and width.
        fill (float): What stands inside of them afterwards. Defaults to 0.0.

    Shape:
        - images, output: ``(N, C, H, W)``; boxes: ``(N, B, 4)``.

    Returns:
        Tensor: New images.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device) / height
    columns = torch.arange(width, device=images.device) / width
    for box in boxes.to(images.device).unbind(dim=1):
        top, bottom, left, right = box[..., None].unbind(dim=1)  # each (N, 1)
        inside = ((rows >= top) & (rows < bottom))[:, :, None]
        inside = inside & ((columns >= left) & (columns < right))[:, None, :]
        images = images.masked_fill(inside[:, None], fill)
    return images
