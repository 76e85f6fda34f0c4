"""What must hold of a batch of two domains, and of the terms of its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from urbancross_mm.structures import RetrievalDataSample


def check_samples(data_samples: Sequence[RetrievalDataSample], num_texts: int, target: str) -> None:
    """A target that names its captions would lend them to the losses; a source needs them.

    Args:
        data_samples (Sequence[RetrievalDataSample]): Of a batch, with ``domain`` and
            ``caption_text_ids``.
        num_texts (int): Texts of the batch.
        target (str): The domain without pairs.

    Raises:
        ValueError: If a sample has not one text, or has captions and should not, or the other
            way round.
    """
    if num_texts != len(data_samples):
        raise ValueError(
            f'adaptation needs one text an image, got {num_texts} texts '
            f'for {len(data_samples)} images'
        )
    for sample in data_samples:
        if bool(sample.caption_text_ids) == (sample.domain == target):
            role, want, has = (
                ('target', 'UnpairedDataset', 'with')
                if sample.domain == target
                else ('source', 'ImageTextDataset', 'without')
            )
            raise ValueError(
                f'model.adaptation.target={target!r}, and so {sample.img_id} of the domain '
                f'{sample.domain!r} is of the {role}, but it comes {has} its captions: name the '
                f'same target in model and sampler, and load the {role} with {want}'
            )


def add_terms(terms: dict[str, Tensor], more: dict[str, Tensor]) -> None:
    """Join, but never put one term in the place of another.

    Args:
        terms (dict[str, Tensor]): Grows.
        more (dict[str, Tensor]): Is added.

    Raises:
        ValueError: If both have a term of one name.
    """
    twice = sorted(terms.keys() & more.keys())
    if twice:
        raise ValueError(
            f'two losses have the same terms {twice}: the second would replace the '
            'first, so name each kind of loss once'
        )
    terms.update(more)


def check_finite(terms: dict[str, Tensor]) -> None:
    """Stop a training that has diverged.

    Args:
        terms (dict[str, Tensor]): Scalars.

    Raises:
        FloatingPointError: If a term is not finite.
    """
    values = torch.stack([value.detach().float().reshape(()) for value in terms.values()])
    if not torch.isfinite(values).all():  # one wait for the device, not one a term
        bad = [name for name, value in terms.items() if not torch.isfinite(value)]
        raise FloatingPointError(
            f'{", ".join(f"{name}={terms[name].item()}" for name in bad)}: training diverged; '
            'lower the learning rate or the loss weight, or clip the gradient'
        )
