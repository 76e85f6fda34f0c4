"""The names that CLIP weights have in the files of the field.

All layouts become one: open_clip's with two towers, ``visual.*`` and ``text.*``, beside
``logit_scale`` and ``logit_bias``. The segment tower of UrbanCross becomes ``segment.*``. What is
of no tower keeps its name.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from urbancross_mm.models.encoders.clip_transformers import from_transformers, is_transformers

# What the towers of a checkpoint of this package are called.
OWN = {
    'image_encoder.tower.': 'visual.',
    'text_encoder.tower.': 'text.',
    'segment_encoder.encoder.tower.': 'segment.',
}
# And of a published UrbanCross checkpoint. Of its second CLIP the image tower is used.
PUBLISHED = {'clip_model.': '', 'clip_img_seg.visual.': 'segment.'}
# Open_clip's CLIP and OpenAI's keep the text tower at the top.
TEXT_AT_TOP = (
    'positional_embedding',
    'text_projection',
    'token_embedding.',
    'transformer.',
    'ln_final.',
)
# Of both towers together; and what OpenAI's archives say about themselves among their weights.
JOINT = ('logit_scale', 'logit_bias')
ABOUT = ('input_resolution', 'context_length', 'vocab_size')
_MASK = 'attn_mask'


def to_two_towers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a CLIP under open_clip's names for two towers.

    Args:
        weights (Mapping): A state dict of open_clip, OpenAI's CLIP, transformers' CLIP or SigLIP,
            the published UrbanCross or this package.

    Returns:
        dict[str, Tensor]: ``visual.*``, ``text.*``, ``segment.*``, ``logit_scale``, and what is
        of no tower. Weights of another model keep their names.

    Raises:
        ValueError: If weights of transformers are incomplete.
    """
    named = {_renamed(name, {**OWN, **PUBLISHED}): value for name, value in weights.items()}
    if is_transformers(named):
        return from_transformers(named)
    at_top = any(name.startswith(('visual.', 'token_embedding.')) for name in named)
    return {
        f'text.{name}' if at_top and name.startswith(TEXT_AT_TOP) else name: value
        for name, value in named.items()
        # Open_clip makes it; CoCa's decoder is of no tower.
        if not name.endswith(_MASK) and not name.startswith('text_decoder.')
    }


def with_text_at_top(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as open_clip's CLIP names them, and all that fine-tune it.

    Args:
        weights (Mapping): Weights of two towers.

    Returns:
        dict[str, Tensor]: The same, the text tower's without its prefix.
    """
    return {name.removeprefix('text.'): value for name, value in weights.items()}


def is_of_openai(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of an archive of OpenAI, whose models compute QuickGELU.

    Args:
        weights (Mapping): A state dict.

    Returns:
        bool: True if it says so itself.
    """
    return all(name in weights for name in ABOUT)


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name
