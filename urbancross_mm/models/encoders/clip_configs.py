"""The config of a CLIP between open_clip and transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from urbancross_mm.models.encoders.clip_shapes import mlp_ratio

# What both libraries can express, of open_clip's settings.
VISION_KEYS = {'layers', 'width', 'head_width', 'mlp_ratio', 'patch_size', 'image_size'}
TEXT_KEYS = {'context_length', 'vocab_size', 'width', 'heads', 'layers', 'mlp_ratio', 'eos_id'}
ACTIVATIONS = {'quick_gelu': {}, 'gelu': {}, 'gelu_pytorch_tanh': {'approximate': 'tanh'}}
# Settings that do not change what a trained tower computes.
_HARMLESS = {'patch_dropout', 'output_tokens', 'pad_id', 'norm_kwargs', 'act_kwargs'}
_TOKENIZER = {'hf_tokenizer_name', 'tokenizer_mode', 'tokenizer_kwargs'}
_SIGLIP_TEXT = dict(no_causal_mask=True, proj_bias=True, pool_type='last')


def from_transformers_config(config: Any) -> dict[str, Any]:
    """The open_clip config of a model of transformers.

    Args:
        config (PretrainedConfig): Of a CLIP or SigLIP.

    Returns:
        dict: Its open_clip config.

    Raises:
        ValueError: If it is of another kind, or computes what open_clip cannot.
    """
    kind = config.model_type
    if kind not in ('clip', 'siglip'):
        raise ValueError(
            f'a transformers model of the type {kind!r}, where clip or siglip is needed'
        )
    vision, text = config.vision_config, config.text_config
    for tower in (vision, text):
        if tower.hidden_act not in ACTIVATIONS:
            raise ValueError(f'open_clip has no activation {tower.hidden_act!r}')
    if kind == 'clip' and vision.hidden_act != text.hidden_act:
        raise ValueError(f'two activations, {vision.hidden_act} and {text.hidden_act}')
    text_cfg = dict(
        context_length=text.max_position_embeddings,
        vocab_size=text.vocab_size,
        width=text.hidden_size,
        heads=text.num_attention_heads,
        layers=text.num_hidden_layers,
        mlp_ratio=mlp_ratio(text.intermediate_size, text.hidden_size),
        norm_kwargs=dict(eps=text.layer_norm_eps),
    )
    if act := ACTIVATIONS[text.hidden_act]:
        text_cfg['act_kwargs'] = act
    if kind == 'siglip':
        return dict(
            embed_dim=vision.hidden_size,
            init_logit_bias=-10,
            custom_text=True,
            vision_cfg=_timm_vision(vision),
            text_cfg={**text_cfg, **_SIGLIP_TEXT},
        )
    if text.eos_token_id not in (2, text.vocab_size - 1):
        text_cfg.update(pool_type='eos', eos_id=text.eos_token_id)
    return dict(
        embed_dim=config.projection_dim,
        quick_gelu=text.hidden_act == 'quick_gelu',
        vision_cfg=dict(
            image_size=vision.image_size,
            patch_size=vision.patch_size,
            width=vision.hidden_size,
            layers=vision.num_hidden_layers,
            head_width=vision.hidden_size // vision.num_attention_heads,
            mlp_ratio=mlp_ratio(vision.intermediate_size, vision.hidden_size),
            norm_kwargs=dict(eps=vision.layer_norm_eps),
            **(dict(act_kwargs=act) if act else {}),
        ),
        text_cfg=text_cfg,
    )


def to_transformers_config(cfg: Mapping[str, Any], model: Any) -> Any:
    """The transformers config of an open_clip model.

    Args:
        cfg (Mapping): Its open_clip config.
        model (nn.Module): The model, for what the config leaves to timm.

    Returns:
        PretrainedConfig: Of a ``CLIPModel`` or ``SiglipModel``.

    Raises:
        ValueError: If transformers has no such model.
    """
    import transformers
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    vision, text = CLIPVisionCfg(**cfg['vision_cfg']), CLIPTextCfg(**cfg['text_cfg'])
    siglip = vision.timm_model_name is not None
    _refuse(text, TEXT_KEYS | {'pool_type'} | (set(_SIGLIP_TEXT) if siglip else set()))
    act = 'quick_gelu' if cfg.get('quick_gelu') else _activation(text.act_kwargs)
    text_config = dict(
        vocab_size=text.vocab_size,
        max_position_embeddings=text.context_length,
        hidden_size=text.width,
        num_attention_heads=text.heads,
        num_hidden_layers=text.layers,
        intermediate_size=int(text.width * text.mlp_ratio),
        hidden_act=act,
        layer_norm_eps=(text.norm_kwargs or {}).get('eps', 1e-5),
    )
    if siglip:
        _check_siglip(model, text)
        text_config['projection_size'] = cfg['embed_dim']
        return transformers.SiglipConfig(text_config, _siglip_vision(model.visual.trunk))
    _refuse(vision, VISION_KEYS)
    if text.pool_type not in ('argmax', 'eos') or not isinstance(vision.layers, int):
        raise ValueError(
            f'transformers has no CLIP with layers={vision.layers} and pool_type={text.pool_type!r}'
        )
    end = text.eos_id if text.pool_type == 'eos' else text.vocab_size - 1
    vision_config = dict(
        image_size=_side(vision.image_size),
        patch_size=vision.patch_size,
        hidden_size=vision.width,
        num_hidden_layers=vision.layers,
        num_attention_heads=vision.width // vision.head_width,
        intermediate_size=int(vision.width * vision.mlp_ratio),
        projection_dim=cfg['embed_dim'],
        hidden_act=act,
        layer_norm_eps=(vision.norm_kwargs or {}).get('eps', 1e-5),
    )
    text_config.update(
        eos_token_id=end, bos_token_id=end - 1, pad_token_id=0, projection_dim=cfg['embed_dim']
    )
    return transformers.CLIPConfig(text_config, vision_config, projection_dim=cfg['embed_dim'])


def _timm_vision(vision: Any) -> dict[str, Any]:
    """The timm model of the same shapes; open_clip's SigLIP has its image tower from there."""
    import timm

    for name in timm.list_models(f'vit_*patch{vision.patch_size}_siglip_{vision.image_size}'):
        with torch.device('meta'):
            trunk = timm.create_model(name)
        if _siglip_vision(trunk).items() <= {**vision.to_dict(), 'hidden_act': 'gelu'}.items():
            return dict(
                image_size=vision.image_size,
                timm_model_name=name,
                timm_model_pretrained=False,
                timm_pool='map',
                timm_proj='none',
            )
    raise ValueError(
        f'timm has no SigLIP of {vision.num_hidden_layers} layers, {vision.hidden_size} wide, with '
        f'patches of {vision.patch_size} in images of {vision.image_size} pixels: use '
        'HuggingFaceImageEncoder, which reads the folder as it is'
    )


def _siglip_vision(trunk: Any) -> dict[str, Any]:
    block = trunk.blocks[0]
    return dict(
        hidden_size=trunk.embed_dim,
        num_hidden_layers=len(trunk.blocks),
        num_attention_heads=block.attn.num_heads,
        intermediate_size=block.mlp.fc1.out_features,
        image_size=trunk.patch_embed.img_size[0],
        patch_size=trunk.patch_embed.patch_size[0],
        hidden_act='gelu' if type(block.mlp.act) is torch.nn.GELU else 'gelu_pytorch_tanh',
        layer_norm_eps=trunk.norm.eps,
    )


def _check_siglip(model: Any, text: Any) -> None:
    pool = getattr(getattr(model.visual, 'trunk', None), 'attn_pool', None)
    others = {key: value for key, value in _SIGLIP_TEXT.items() if getattr(text, key) != value}
    if pool is None or others or len(model.visual.head):
        raise ValueError(
            'transformers has no such model: of those with an image tower of timm it has SigLIP '
            f'alone (attention pooling, and in the text tower {_SIGLIP_TEXT})'
        )


def _refuse(part: Any, known: set[str]) -> None:
    """Settings that would change the embeddings and that transformers has not."""
    set_ = [
        field.name
        for field in dataclasses.fields(part)
        if field.name not in known | _HARMLESS | _TOKENIZER
        and not field.name.startswith('timm_')
        and getattr(part, field.name) != field.default
    ]
    if set_:
        settings = ', '.join(f'{name}={getattr(part, name)!r}' for name in set_)
        raise ValueError(f'transformers has no CLIP or SigLIP with {settings}')


def _activation(kwargs: Mapping[str, Any] | None) -> str:
    return 'gelu_pytorch_tanh' if (kwargs or {}).get('approximate') == 'tanh' else 'gelu'


def _side(size: int | tuple[int, int]) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1:
        raise ValueError(f'transformers has no CLIP for images of {size} pixels: they are square')
    return sides.pop()
