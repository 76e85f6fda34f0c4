"""A curation from a config: stages in order, and a report of every image that went through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from urbancross_mm.curation import (
    BaseStage,
    CollectionStage,
    ImageRecord,
    Manifest,
    Report,
    ScoreStage,
    SegmentStage,
    TileStage,
    Workplace,
    run_stage,
)
from urbancross_mm.curation.core.record_cache import put_aside
from urbancross_mm.inference.checkpoints import for_checkpoint
from urbancross_mm.inference.config import load_config, nested_dicts
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.devices import usable_device
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
    if not cfg.get('stages'):
        raise ValueError(f'{cfg.filename} has no stages: it is no config of a curation')
    for scorer in nested_dicts(cfg.stages, 'RetrieverScorer'):
        if scorer.get('checkpoint'):
            # A trained model does not need the weights that it once started from.
            scorer['model'] = for_checkpoint(scorer['model'])
    stages = [_build(stage) for stage in cfg.stages]
    names = [stage.name for stage in stages]
    if not isinstance(stages[0], TileStage) or len(set(names)) < len(names):
        raise ValueError(
            f'the stages begin with TileStage and each stands once, got {", ".join(names)}'
        )
    if 'export' in names and 'split' not in names[: names.index('export')]:
        raise ValueError('ExportStage writes a file a split: put a SplitStage before it')
    for before, stage in enumerate(stages):
        if (
            isinstance(stage, ScoreStage | SegmentStage)
            and 'captions' in stage.reads
            and 'caption' not in names[:before]
        ):
            raise ValueError(
                f'{type(stage).__name__} compares images with captions: put a '
                'CaptionStage before it, or leave out the scorer'
            )
    return stages


def load_curation(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read the config of a curation.

    Args:
        path (str | Path): A Python config.
        options (Mapping, optional): ``--cfg-options``; a stage may be named instead of counted:
            ``tile.size`` is ``stages.0.size``. Defaults to None.

    Returns:
        Config: For :func:`build_stages`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no config, or an option belongs to no stage.
    """
    cfg = load_config(path)
    names = [_name_of(stage) for stage in cfg.get('stages') or ()]
    settings = {}
    for key, value in (options or {}).items():
        first, dot, rest = key.partition('.')
        if first not in (*names, 'stages') or not rest:
            raise ValueError(
                f'an option is STAGE.NAME=VALUE, and {key} belongs to no stage; the '
                f'stages of {path} are {", ".join(names)}'
            )
        settings[f'stages.{names.index(first)}{dot}{rest}' if first in names else key] = value
    try:
        cfg.merge_from_dict(settings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'options {", ".join(settings)} do not fit {path}: {error}') from error
    return cfg


def run_curation(
    cfg: Config,
    source: str | Path,
    out: str | Path,
    only: Sequence[str] | None = None,
    device: str = 'cpu',
    workers: int = 1,
    limit: int | None = None,
    show: Callable[[str], None] = print,
) -> list[Report]:
    """Run the stages of a config on a folder, from where the last run stopped.

    Args:
        cfg (Config): See :func:`build_stages`.
        source (str | Path): Folder of tiles and rasters.
        out (str | Path): Folder of the dataset.
        only (Sequence[str], optional): Stages that may work; the others are read from their
            manifests. Defaults to None: all.
        device (str): Of the models. Defaults to 'cpu'.
        workers (int): Threads. Defaults to 1.
        limit (int, optional): Only the first images, to try a config. Defaults to None.
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
    stages = stages[: max(names.index(name) for name in wanted) + 1]
    _check_files([stage for stage in stages if stage.name in wanted], place)
    reports: list[Report] = []
    with only_one(place.out):
        remove_leftovers_below(place.out)
        end = ''
        _write_report(place, 'This run has not come to its end.\n')
        try:
            _run(stages, wanted, place, limit, show, reports)
        except BaseException as error:
            end = f'{type(error).__name__}: {error}\n'
            raise
        finally:
            _write_report(place, ''.join(f'{report}\n' for report in reports) + end)
    return reports


def _write_report(place: Workplace, text: str) -> None:
    # A full disk must not hide behind the file that says so.
    with contextlib.suppress(OSError):
        atomic_write(place.out / 'last_run.txt', text.encode('utf-8', 'backslashreplace'))


def _check_files(stages: Sequence[BaseStage], place: Workplace) -> None:
    """Name all missing files at once."""
    missing = []
    for stage in stages:
        try:
            stage.check(place)
        except FileNotFoundError as error:
            missing.append(str(error))
    if missing:
        raise FileNotFoundError('; '.join(missing))


def _run(
    stages: list[BaseStage],
    wanted: Sequence[str],
    place: Workplace,
    limit: int | None,
    show: Callable[[str], None],
    reports: list[Report],
) -> None:
    images: Sequence[ImageRecord] = stages[0].discover(place)[:limit]  # type: ignore[attr-defined]
    if limit is not None:
        _refuse_to_shrink(stages, images, place)
    put_aside(place.out, place.stages)
    while stages:
        # Taken out of the list, so that its models make room for those of the next one.
        stage = stages.pop(0)
        images, report = run_stage(
            stage, images, place, stage.name in wanted, partial=limit is not None
        )
        reports.append(report)
        show(str(report))


def _name_of(cfg: Any) -> str:
    """Name of the stage that a config asks for, if there is such a stage."""
    import urbancross_mm.curation.stages.export_stage  # noqa: F401  registers what needs the datasets

    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    return getattr(CURATION.get(kind) if isinstance(kind, str) else kind, 'name', '')


def _build(cfg: Any) -> BaseStage:
    """A stage; a mistake in it, or in what it is built of, is the user's."""
    name = _name_of(cfg)
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
        raise ValueError(f'{type(stage).__name__} is no stage')
    return stage


def _check_place(place: Workplace) -> None:
    """Refuse folders and devices that would spoil the run."""
    source, out = place.source.resolve(), place.out.resolve()
    if out == source or source in out.parents:
        raise ValueError(
            f'--out {place.out} must not lie in --in {place.source}: the next run '
            'would take its own images for tiles'
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f'--out {place.out} is a file; it must be a folder')
    usable_device(place.device)


def _refuse_to_shrink(
    stages: Sequence[BaseStage], images: Sequence[ImageRecord], place: Workplace
) -> None:
    """A few images must not replace a set of many: its splits, and so its annotations."""
    few = {image.name for image in images}
    for stage in stages:
        if isinstance(stage, CollectionStage):
            known = Manifest(place.out / 'manifest' / f'{stage.name}.jsonl').read().keys()
            if known - few:
                raise ValueError(
                    f'{place.out} holds a set of more than the first {len(few)} '
                    'images, which --limit would replace: try a config in another '
                    '--out'
                )
