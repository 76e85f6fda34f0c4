"""Configs of a curation: reading them, and building their stages."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from urbancross_mm.curation import BaseStage, ScoreStage, SegmentStage, TileStage
from urbancross_mm.inference.checkpoints import for_checkpoint
from urbancross_mm.inference.config import load_config
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.config import nested_dicts

# Old names of options; they work until the next minor version.
RENAMED = dict(block_metres='block_meters', margin_metres='margin_meters')


def load_curation(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a curation config.

    Args:
        path (str | Path): A Python config.
        options (Mapping, optional): ``--cfg-options``. A stage may be given by name: ``tile.size``
            is ``stages.0.size``. Defaults to None.

    Returns:
        Config: The config for :func:`build_stages`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a config, or an option belongs to no stage.
    """
    cfg = load_config(path)
    names = [_name_of(stage) for stage in cfg.get('stages') or ()]
    settings = {}
    for key, value in (options or {}).items():
        first, dot, rest = key.partition('.')
        if first not in (*names, 'stages') or not rest:
            raise ValueError(
                f'no stage for the option {key}: write STAGE.NAME=VALUE, with a stage of {path} '
                f'({", ".join(names)})'
            )
        settings[f'stages.{names.index(first)}{dot}{rest}' if first in names else key] = value
    try:
        cfg.merge_from_dict(settings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'options {", ".join(settings)} do not fit {path}: {error}') from error
    return cfg


def build_stages(cfg: Config) -> list[BaseStage]:
    """Build the stages of a config. No model is loaded yet.

    Args:
        cfg (Config): A config with ``stages``, a list of stage configs that begins with TileStage.

    Returns:
        list[BaseStage]: The stages in order.

    Raises:
        ValueError: If there are no stages, their order is wrong, two have the same name, or an
            option is unknown.
    """
    if not cfg.get('stages'):
        raise ValueError(f'{cfg.filename} has no stages: it is not a curation config')
    for scorer in nested_dicts(cfg.stages, 'RetrieverScorer'):
        if scorer.get('checkpoint'):
            # The checkpoint replaces the pretrained weights.
            scorer['model'] = for_checkpoint(scorer['model'])
    stages = [_build(stage) for stage in cfg.stages]
    names = [stage.name for stage in stages]
    if not isinstance(stages[0], TileStage) or len(set(names)) < len(names):
        raise ValueError(
            f'stages must begin with TileStage and have distinct names, got {", ".join(names)}'
        )
    if 'export' in names and 'split' not in names[: names.index('export')]:
        raise ValueError('ExportStage writes one file per split: put a SplitStage before it')
    _check_captions_come_first(stages)
    return stages


def _check_captions_come_first(stages: Sequence[BaseStage]) -> None:
    names = [stage.name for stage in stages]
    for index, stage in enumerate(stages):
        scores = isinstance(stage, ScoreStage | SegmentStage) and 'captions' in stage.reads
        if scores and 'caption' not in names[:index]:
            raise ValueError(
                f'{type(stage).__name__} compares images with captions: put a CaptionStage before '
                'it, or leave out the scorer'
            )


def _name_of(cfg: Any) -> str:
    """Name of the stage that a stage config builds; empty if there is no such stage."""
    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    return getattr(CURATION.get(kind) if isinstance(kind, str) else kind, 'name', '')


def _with_new_names(cfg: Any) -> Any:
    """A stage config in which renamed options have their new names."""
    if not isinstance(cfg, Mapping):
        return cfg
    for old in RENAMED.keys() & cfg.keys():
        warnings.warn(f'{old} is now called {RENAMED[old]}', FutureWarning, stacklevel=2)
    return {RENAMED.get(key, key): value for key, value in cfg.items()}


def _build(cfg: Any) -> BaseStage:
    """Build a stage. Errors name its options."""
    name = _name_of(cfg)
    cfg = _with_new_names(cfg)
    try:
        stage = CURATION.build(cfg)
    except (KeyError, TypeError) as error:
        kind = cfg.get('type', dict(cfg)) if isinstance(cfg, Mapping) else cfg
        given = (
            ', '.join(f'{key}={value!r:.40}' for key, value in cfg.items() if key != 'type')
            if isinstance(cfg, Mapping) and name
            else ''
        )
        raise ValueError(
            f'stage {kind}{f" ({given})" if given else ""}: '
            f'{error.args[0] if error.args else error}'
        ) from error
    if not isinstance(stage, BaseStage):
        raise ValueError(f'{type(stage).__name__} is not a stage')
    return stage
