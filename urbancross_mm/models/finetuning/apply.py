"""From the config key ``finetune`` to what trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from urbancross_mm.models.encoders.base import BaseEncoder
from urbancross_mm.models.finetuning.blocks import layer_depths
from urbancross_mm.models.finetuning.branches import add_adapter, add_lora, takes_lora
from urbancross_mm.models.finetuning.targets import (
    check_options,
    find_names,
    find_roots,
    is_below,
    listed,
)

LORA_OPTIONS = ('rank', 'alpha', 'dropout', 'targets')
ADAPTER_OPTIONS = ('width', 'parallel', 'shared', 'targets')
OPTIONS = ('last_blocks', 'bias', 'norm', 'also', 'lora', 'adapter')
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


def apply_finetuning(model: Any, cfg: Mapping[str, Mapping[str, Any]]) -> None:
    """Freeze parts of a model but for what their options say.

    Several options of a part add up. The projection that a backbone or a transformers model got
    (``embed_dim``) is new and trains in any case. Parts that are not named train as they do.

    Args:
        model (nn.Module): A retriever.
        cfg (Mapping): By the name of a part (``image_encoder``, ``text_encoder``,
            ``encoders.audio``) its options; an empty dict freezes it:

            - ``last_blocks`` (int): train the last blocks, and what follows them.
            - ``bias`` (bool): train all biases (BitFit).
            - ``norm`` (bool): train all normalization layers.
            - ``also`` (Sequence[str]): train these parameters, by their names or the ends of them,
              or as regular expressions.
            - ``lora`` (Mapping): ``rank`` (8), ``alpha`` (twice the rank), ``dropout`` (0.0) and
              ``targets``: linear layers and attentions, or what holds them (all in the blocks).
            - ``adapter`` (Mapping): ``width`` (64), ``parallel`` (False: behind, not beside),
              ``shared`` (False: no middle layer that all parts share) and ``targets`` (the blocks).

    Raises:
        ValueError: If a part, an option or a target does not exist.
    """
    if not isinstance(cfg, Mapping):
        raise ValueError(f'model.finetune must be a dict by the names of parts, got {cfg!r}')
    shared: dict[int, nn.Parameter] = {}
    for name, options in cfg.items():
        part = _find_part(model, name)
        where = f'model.finetune.{name}'
        try:
            _finetune(part, check_options('it', options, OPTIONS), shared)
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from None


def _find_part(model: nn.Module, name: str) -> nn.Module:
    try:
        part = model.get_submodule(name)
    except AttributeError:
        part = None
    if part is None or not any(True for _ in part.parameters()):
        known = [
            child
            for child, module in model.named_children()
            if any(True for _ in module.parameters())
        ]
        raise ValueError(
            f'model.finetune names {name!r}, but {type(model).__name__} has the parts '
            f'{", ".join(known)}'
        )
    return part


def _finetune(part: nn.Module, options: dict[str, Any], shared: dict[int, nn.Parameter]) -> None:
    new = {id(weight) for weight in _new_weights(part)}
    trained = {
        name: weight
        for name, weight in part.named_parameters()
        if weight.requires_grad and id(weight) not in new
    }
    if not trained:
        raise ValueError(
            "nothing of it trains: leave out frozen=True, or mode='frozen' of a segment tower"
        )
    kept = _kept(part, trained, options)
    for name, weight in trained.items():
        weight.requires_grad_(name in kept)
    if options.get('lora') is not None:
        _add_lora(part, trained, **check_options('lora', options['lora'], LORA_OPTIONS))
    if options.get('adapter') is not None:
        settings = check_options('adapter', options['adapter'], ADAPTER_OPTIONS)
        _add_adapters(part, trained, shared, **settings)


def _new_weights(part: nn.Module) -> list[nn.Parameter]:
    """What an encoder adds to a pretrained network."""
    weights = []
    for encoder in part.modules():
        if isinstance(encoder, BaseEncoder):
            projection = getattr(encoder, 'projection', None)
            weights += list(projection.parameters()) if projection is not None else []
            weights += [encoder.gem_exponent] if hasattr(encoder, 'gem_exponent') else []
    return weights


def _kept(part: nn.Module, trained: Collection[str], options: Mapping[str, Any]) -> set[str]:
    """Names of the pretrained weights that go on training."""
    kept: set[str] = set()
    if options.get('last_blocks') is not None:
        depths, blocks = layer_depths(part)
        count = options['last_blocks']
        if not isinstance(count, int) or not 0 <= count <= blocks:
            raise ValueError(f'last_blocks must lie in [0, {blocks}], its blocks; got {count!r}')
        kept |= {name for name in trained if count and depths[name] > blocks - count}
    if options.get('bias'):
        kept |= {name for name in trained if name.endswith('bias')}
    if options.get('norm'):
        kept |= {
            name
            for path, layer in part.named_modules()
            if isinstance(layer, NORMS) or 'norm' in type(layer).__name__.lower()
            for name, _ in layer.named_parameters(prefix=path)
        }
    for target in options.get('also') or ():
        kept |= set(find_names(target, trained, 'also', 'parameter'))
    return kept


def _add_lora(
    part: nn.Module,
    trained: Collection[str],
    rank: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
    targets: Sequence[str] | None = None,
) -> None:
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f'lora.rank must be a whole number from 1, got {rank!r}')
    roots = find_roots(part, targets, 'lora.targets')
    # Not the projection of an encoder, which is new and trains whole.
    takes = [
        name
        for name, layer in part.named_modules()
        if takes_lora(layer) and _trains(layer, name, trained)
    ]
    layers = [name for name in takes if is_below(name, roots)]
    if not layers:
        raise ValueError(
            f'lora found no linear layer or attention in {listed(roots) or "its blocks"}; '
            f'the layers of this encoder that it could take: {listed(takes) or "none"}'
        )
    for name in layers:
        add_lora(part.get_submodule(name), rank, 2 * rank if alpha is None else alpha, dropout)


def _add_adapters(
    part: nn.Module,
    trained: Collection[str],
    shared_weights: dict[int, nn.Parameter],
    width: int = 64,
    parallel: bool = False,
    shared: bool = False,
    targets: Sequence[str] | None = None,
) -> None:
    if not isinstance(width, int) or width < 1:
        raise ValueError(f'adapter.width must be a whole number from 1, got {width!r}')
    roots = [
        name
        for name in find_roots(part, targets, 'adapter.targets')
        if any(weight.startswith(f'{name}.') for weight in trained)
    ]
    if not roots:
        raise ValueError('adapter found no blocks: name the layers in adapter.targets')
    for name in roots:
        owner = shared and width not in shared_weights
        if owner:
            shared_weights[width] = nn.Parameter(torch.eye(width))
        middle = shared_weights[width] if shared else None
        add_adapter(part.get_submodule(name), width, parallel, middle, owner)


def _trains(layer: nn.Module, name: str, trained: Collection[str]) -> bool:
    """Whether its own matrix did: that of a layer that is not read gets no gradient."""
    return any(f'{name}.{weight}' in trained for weight in layer._parameters)


def keep_frozen_in_eval(module: nn.Module) -> None:
    """Keep what does not train in ``eval``: dropout and running statistics of frozen parts.

    Args:
        module (nn.Module): In training mode.
    """
    weights = list(module.parameters())
    if weights and not any(weight.requires_grad for weight in weights):
        module.eval()
        return
    for child in module.children():
        keep_frozen_in_eval(child)
