"""A curation from a config: stages in order, and a report of every picture that went through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from urbancross_mm.apis.config import for_checkpoint, nested_dicts
from urbancross_mm.curation import (
    BaseStage,
    CollectionStage,
    Manifest,
    Picture,
    Report,
    ScoreStage,
    SegmentStage,
    TileStage,
    Workplace,
    run_stage,
)
from urbancross_mm.curation.record_cache import put_aside
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.files import atomic_write, remove_leftovers_below
from urbancross_mm.utils.lock import only_one


def build_stages(cfg: Config) -> list[BaseStage]:
    """Build the stages of a config; no model is loaded yet.

    Args:
        cfg (Config): With ``stages``, a list of stage configs, the tiles first.

    Returns:
        list[BaseStage]: In order.

    Raises:
        ValueError: If there are none, the first makes no tiles, two have one name, an option is
            unknown, or captions are wanted before they are written.
    """
    # Registers the stages that need the data sets.
    import urbancross_mm.apis.curation_export  # noqa: F401

    if not cfg.get('stages'):
        raise ValueError(f'{cfg.filename} has no stages: it is no config of a curation')
    for scorer in nested_dicts(cfg.stages, 'RetrieverScorer'):
        if scorer.get('checkpoint'):
            # A trained model does not need the weights that it once started from.
            scorer['model'] = for_checkpoint(scorer['model'])
    stages = [_build(stage) for stage in cfg.stages]
    names = [stage.name for stage in stages]
    if not isinstance(stages[0], TileStage) or len(set(names)) < len(names):
        raise ValueError('the stages begin with TileStage and each stands once, got '
                         f'{", ".join(names)}')
    for before, stage in enumerate(stages):
        if isinstance(stage, ScoreStage | SegmentStage) and 'captions' in stage.reads \
                and 'caption' not in names[:before]:
            raise ValueError(f'{type(stage).__name__} compares pictures with captions: put a '
                             'CaptionStage before it, or leave out the scorer')
    return stages


def run_curation(cfg: Config, source: str | Path, out: str | Path,
                 only: Sequence[str] | None = None, device: str = 'cpu', workers: int = 1,
                 limit: int | None = None, show: Callable[[str], None] = print) -> list[Report]:
    """Run the stages of a config on a folder, from where the last run stopped.

    Args:
        cfg (Config): See :func:`build_stages`.
        source (str | Path): Folder of tiles and rasters.
        out (str | Path): Folder of the data set.
        only (Sequence[str], optional): Stages that may work; the others are read from their
            manifests. Defaults to None: all.
        device (str): Of the models. Defaults to 'cpu'.
        workers (int): Threads. Defaults to 1.
        limit (int, optional): Only the first pictures, to try a config. Defaults to None.
        show (Callable): Takes the report of each stage as it ends. Defaults to print.

    Returns:
        list[Report]: One a stage.

    Raises:
        FileNotFoundError: If the source, or a file that a stage needs, is missing.
        ImportError: If an extra is not installed.
        ValueError: If the config, a stage's name or the device is wrong, ``out`` lies in
            ``source``, a stage before the wanted ones has not been run, ``limit`` would replace a
            larger set, or another process works in ``out``.
    """
    stages = build_stages(cfg)
    names = [stage.name for stage in stages]
    place = Workplace(Path(source), Path(out), device, workers, tuple(names))
    _check_place(place)
    wanted = list(only or names)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(f'no stage {unknown[0]!r} in the config; it has {", ".join(names)}')
    stages = stages[:max(names.index(name) for name in wanted) + 1]
    for stage in stages:
        if stage.name in wanted:
            stage.check(place)
    with only_one(place.out):
        remove_leftovers_below(place.out)
        reports = _run(stages, wanted, place, limit, show)
        atomic_write(place.out / 'last_run.txt', '\n'.join(map(str, reports)) + '\n')
    return reports


def _run(stages: list[BaseStage], wanted: Sequence[str], place: Workplace, limit: int | None,
         show: Callable[[str], None]) -> list[Report]:
    pictures: Sequence[Picture] = stages[0].discover(place)[:limit]  # type: ignore[attr-defined]
    if limit is not None:
        _refuse_to_shrink(stages, pictures, place)
    put_aside(place.out, place.stages)
    reports = []
    while stages:
        # Taken out of the list, so that its models make room for those of the next one.
        stage = stages.pop(0)
        pictures, report = run_stage(stage, pictures, place, stage.name in wanted,
                                     partial=limit is not None)
        reports.append(report)
        show(str(report))
    return reports


def _build(cfg: Mapping[str, Any]) -> BaseStage:
    """A stage; a mistake in it, or in what it is built of, is the user's."""
    try:
        stage = CURATION.build(cfg)
    except (KeyError, TypeError) as error:
        kind = cfg.get('type', dict(cfg)) if isinstance(cfg, Mapping) else cfg
        raise ValueError(f'stage {kind}: {error.args[0] if error.args else error}') from error
    if not isinstance(stage, BaseStage):
        raise ValueError(f'{type(stage).__name__} is no stage')
    return stage


def _check_place(place: Workplace) -> None:
    """Refuse folders and devices that would spoil the run."""
    source, out = place.source.resolve(), place.out.resolve()
    if out == source or source in out.parents:
        raise ValueError(f'--out {place.out} must not lie in --in {place.source}: the next run '
                         'would take its own pictures for tiles')
    try:
        torch.zeros(1, device=place.device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        why = (str(error).splitlines() or [''])[0]
        raise ValueError(f'no device {place.device!r} to run on: {why}') from error


def _refuse_to_shrink(stages: Sequence[BaseStage], pictures: Sequence[Picture], place: Workplace
                      ) -> None:
    """A few pictures must not replace a set of many: its splits, and so its annotations."""
    few = {picture.name for picture in pictures}
    for stage in stages:
        if isinstance(stage, CollectionStage):
            known = Manifest(place.out / 'manifest' / f'{stage.name}.jsonl').read().keys()
            if known - few:
                raise ValueError(f'{place.out} holds a set of more than the first {len(few)} '
                                 'pictures, which --limit would replace: try a config in another '
                                 '--out')
