"""What must hold of a batch of two domains, and of the terms of its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from urbancross_mm.structures import RetrievalDataSample


def check_samples(data_samples: Sequence[RetrievalDataSample], num_texts: int, target: str) -> None:
    """A source needs its captions; a target that names its own would lend them to the losses."""
    if num_texts != len(data_samples):
        raise ValueError(
            f'adaptation needs one text per image, got {num_texts} texts '
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


def check_domains(
    is_target: Tensor, data_samples: Sequence[RetrievalDataSample], target: str
) -> None:
    """The rows of all ranks together need both domains."""
    if is_target.all() or not is_target.any():
        raise ValueError(
            f'a batch needs samples of the target {target!r} and of a source, got the '
            f'domains {sorted({sample.domain for sample in data_samples})}: use '
            'CrossDomainSampler with the same names'
        )


def add_terms(terms: dict[str, Tensor], more: dict[str, Tensor]) -> None:
    """Add terms, but never replace one."""
    twice = sorted(terms.keys() & more.keys())
    if twice:
        raise ValueError(
            f'two losses have the same terms {twice}: the second would replace the '
            'first, so name each kind of loss once'
        )
    terms.update(more)


def check_finite(terms: dict[str, Tensor]) -> None:
    """Stop a training that has diverged."""
    values = torch.stack([value.detach().float().reshape(()) for value in terms.values()])
    if not torch.isfinite(values).all():  # one wait for the device, not one per term
        bad = [name for name, value in terms.items() if not torch.isfinite(value)]
        raise FloatingPointError(
            f'{", ".join(f"{name}={terms[name].item()}" for name in bad)}: training diverged; '
            'lower the learning rate or the loss weight, or clip the gradient'
        )
