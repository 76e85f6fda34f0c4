"""A CLIP of any layout, written as open_clip, transformers or this package has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models.encoders.clip_configs import (
    from_transformers_config,
    to_transformers_config,
)
from urbancross_mm.models.encoders.clip_factory import build_clip, model_config
from urbancross_mm.models.encoders.clip_layouts import (
    JOINT,
    OWN,
    is_of_openai,
    to_two_towers,
    with_text_at_top,
)
from urbancross_mm.models.encoders.clip_loading import read_weights
from urbancross_mm.models.encoders.clip_shapes import config_of_weights
from urbancross_mm.models.encoders.clip_tokenizer import copy_tokenizer, save_clip_tokenizer
from urbancross_mm.models.encoders.clip_transformers import to_transformers
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.state_dicts import load_report

OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS = 'open_clip_config.json', 'open_clip_model.safetensors'
CLIP_STATISTICS = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])


@dataclass
class Clip:
    """A loaded CLIP, and what belongs to it.

    Args:
        model (nn.Module): open_clip's ``CustomTextCLIP``, in ``eval``.
        cfg (dict): Its open_clip config.
        source (Path): Where it was read from.
        report (str): What of the source was loaded, missing or unexpected, in one line.
        segment (dict): Weights of the segment tower of an UrbanCross, by open_clip's names for an
            image tower. Defaults to {}.
    """

    model: Any
    cfg: dict[str, Any]
    source: Path
    report: str
    segment: dict[str, Tensor] = field(default_factory=dict)


def read_clip(path: str | Path, model_name: str | None = None, quick_gelu: bool = False) -> Clip:
    """Read a CLIP of any layout.

    Args:
        path (str | Path): A file, or a folder of open_clip or transformers.
        model_name (str, optional): Its name in open_clip. Defaults to None: by the config in the
            folder, or by the shapes of the weights.
        quick_gelu (bool): It was trained with QuickGELU, which its weights do not tell. Weights
            in an archive of OpenAI say so themselves. Defaults to False.

    Returns:
        Clip: With its weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or is of another model.
    """
    path = Path(path)
    raw = read_weights(path)
    weights = to_two_towers(raw)
    try:
        cfg = _config(path, model_name, weights)
    except ValueError as error:
        raise ValueError(f'{path} is no CLIP that can be converted: {error}') from error
    cfg['quick_gelu'] = bool(cfg.get('quick_gelu') or quick_gelu or is_of_openai(raw))
    if 'logit_bias' in weights:
        cfg.setdefault('init_logit_bias', 0.0)
    model, _ = build_clip(None, str(path), cfg, log=False)
    for name in JOINT:
        if name in weights and getattr(model, name) is not None:
            scale = getattr(model, name)
            scale.data.copy_(weights[name].reshape(scale.shape))
    segment = {
        'visual.' + name.removeprefix('segment.'): value
        for name, value in weights.items()
        if name.startswith('segment.')
    }
    report = load_report(model.state_dict(), weights, path)
    return Clip(model.eval(), cfg, path, report, segment)


def save_open_clip(clip: Clip, folder: Path) -> None:
    """Write a folder that ``open_clip.create_model('local-dir:FOLDER')`` loads.

    Args:
        clip (Clip): The model. Its segment tower has no place there.
        folder (Path): Is made.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = clip.model.state_dict()
    if not clip.cfg.get('custom_text'):
        weights = with_text_at_top(weights)
    save_file(_own_memory(weights), folder / OPEN_CLIP_WEIGHTS)
    copied = copy_tokenizer(clip.source, folder)
    cfg = {**clip.cfg, 'text_cfg': dict(clip.cfg['text_cfg'])}
    if copied and cfg.get('custom_text'):
        cfg['text_cfg']['hf_tokenizer_name'] = str(folder)
    mean, std = _statistics(clip)
    content = dict(model_cfg=cfg, preprocess_cfg=dict(mean=mean, std=std))
    atomic_write(folder / OPEN_CLIP_CONFIG, json.dumps(content, indent=2).encode())


def save_transformers(clip: Clip, folder: Path) -> None:
    """Write a folder that transformers loads as ``CLIPModel`` or ``SiglipModel``.

    Args:
        clip (Clip): The model. Its segment tower has no place there.
        folder (Path): Is made; with ``preprocessor_config.json``, and the tokenizer where it is
            known.

    Raises:
        ValueError: If transformers has no such model.
    """
    import transformers

    config = to_transformers_config(clip.cfg, clip.model)
    siglip = config.model_type == 'siglip'
    with torch.device('meta'):
        kind = transformers.SiglipModel if siglip else transformers.CLIPModel
        model = kind(config)
    weights = to_transformers(clip.model.state_dict())
    own = {name for name in model.state_dict() if not name.endswith('.position_ids')}
    if own != weights.keys():
        raise ValueError(f'no weights for {", ".join(sorted(own ^ weights.keys())[:3])}')
    model.save_pretrained(folder, state_dict=_own_memory(weights))
    mean, std = _statistics(clip)
    side = config.vision_config.image_size
    processor = (
        transformers.SiglipImageProcessor(size=dict(height=side, width=side))
        if siglip
        else transformers.CLIPImageProcessor(
            size=dict(shortest_edge=side), crop_size=dict(height=side, width=side)
        )
    )
    processor.image_mean, processor.image_std = mean, std
    processor.save_pretrained(folder)
    if not copy_tokenizer(clip.source, folder) and not siglip:
        save_clip_tokenizer(folder, config.text_config)


def save_own(clip: Clip, file: Path) -> None:
    """Write a checkpoint of this package, for ``load_from`` and all tools.

    Args:
        clip (Clip): The model; a segment tower too.
        file (Path): Of ``torch.save``.
    """
    names = {tower: own for own, tower in OWN.items()}
    segment = {f'segment.{n.removeprefix("visual.")}': v for n, v in clip.segment.items()}
    towers = {**clip.model.state_dict(), **segment}
    weights = {
        names[tower] + name.removeprefix(tower): value
        for tower in names
        for name, value in towers.items()
        if name.startswith(tower)
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=_own_memory(weights), meta=dict(open_clip=clip.cfg)), file)


@torch.no_grad()
def difference(clip: Clip, written: Path) -> float:
    """How far the embeddings of a written model are from those of its source.

    Args:
        clip (Clip): The source.
        written (Path): What one of the functions above wrote.

    Returns:
        float: Largest absolute difference between unit vectors, of random images and texts.
    """
    generator = torch.Generator().manual_seed(0)
    sides = clip.model.visual.image_size
    sides = (sides, sides) if isinstance(sides, int) else sides
    image = torch.randn(2, 3, *sides, generator=generator)
    size, length = clip.model.vocab_size, clip.model.context_length
    text = torch.randint(1, size - 2, (2, length), generator=generator)
    text[:, length // 2] = size - 1  # the end of a text
    pairs = zip(_embed(clip, clip.source, image, text), _embed(clip, written, image, text))
    return max(float((one - other).abs().max()) for one, other in pairs)


def _embed(clip: Clip, path: Path, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """By the library whose layout it is."""
    if (path / 'config.json').is_file() and not (path / OPEN_CLIP_CONFIG).is_file():
        import transformers

        other: Any = transformers.AutoModel.from_pretrained(path, local_files_only=True).eval()
        return normalize(other.get_image_features(image)), normalize(other.get_text_features(text))
    model = clip.model
    if path != clip.source:
        model = build_clip(None, str(path), clip.cfg, log=False)[0].eval()
    return normalize(model.encode_image(image)), normalize(model.encode_text(text))


def _config(path: Path, model_name: str | None, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    if model_name:
        return model_config(model_name, None)
    if (path / OPEN_CLIP_CONFIG).is_file():
        return model_config(f'local-dir:{path}', None)
    if (path / 'config.json').is_file():
        import transformers

        return from_transformers_config(
            transformers.AutoConfig.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
        )
    return config_of_weights(weights)


def _statistics(clip: Clip) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of its images: what stands beside it, else CLIP's or SigLIP's."""
    for name, keys in (
        (OPEN_CLIP_CONFIG, ('mean', 'std')),
        ('preprocessor_config.json', ('image_mean', 'image_std')),
    ):
        if (clip.source / name).is_file():
            content = json.loads((clip.source / name).read_text('utf-8'))
            content = content.get('preprocess_cfg', content)
            if all(key in content for key in keys):
                return content[keys[0]], content[keys[1]]
    siglip = hasattr(clip.model.visual, 'trunk')
    return ([0.5] * 3, [0.5] * 3) if siglip else CLIP_STATISTICS


def _own_memory(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors refuses parts of other tensors."""
    return {name: value.detach().clone().contiguous() for name, value in weights.items()}
