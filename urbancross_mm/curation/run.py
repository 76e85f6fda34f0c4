"""Runs a whole curation: the stages of a config in order, on one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.config import Config

from urbancross_mm.curation import (
    BaseStage,
    CollectionStage,
    ImageRecord,
    Manifest,
    Report,
    TileStage,
    Workspace,
    run_stage,
)
from urbancross_mm.curation.config import build_stages
from urbancross_mm.curation.core.record_cache import cache_unused_manifests
from urbancross_mm.utils.devices import usable_device
from urbancross_mm.utils.files import atomic_write, file_lock, remove_leftovers_below


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
    """Run the stages of a config on a folder. An interrupted run is resumed.

    Args:
        cfg (Config): See :func:`build_stages`.
        source (str | Path): Folder of tiles and rasters.
        out (str | Path): Folder of the dataset.
        only (Sequence[str], optional): Names of the stages to run. The stages before them are read
            from their manifests. Defaults to None: all.
        device (str): Device of the models. Defaults to 'cpu'.
        workers (int): Number of threads. Defaults to 1.
        limit (int, optional): Number of images to process, the first ones. Defaults to None: all.
        show (Callable): Called with the report of each stage. Defaults to print.

    Returns:
        list[Report]: One per stage.

    Raises:
        FileNotFoundError: If the source, or a file that a stage needs, is missing.
        ImportError: If an extra is not installed.
        ValueError: If the config, the name of a stage or the device is wrong, ``out`` lies in
            ``source``, a stage before those of ``only`` has not been run, ``out`` holds more images
            than ``limit``, or another process works in ``out``.
    """
    stages = build_stages(cfg)
    names = [stage.name for stage in stages]
    workspace = Workspace(Path(source), Path(out), device, workers, tuple(names))
    _check_workspace(workspace)
    wanted = list(only or names)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(f'no stage {unknown[0]!r} in the config; it has {", ".join(names)}')
    stages = stages[: max(names.index(name) for name in wanted) + 1]
    _check_files([stage for stage in stages if stage.name in wanted], workspace)
    reports: list[Report] = []
    with file_lock(workspace.out):
        remove_leftovers_below(workspace.out)
        end = ''
        _write_report(workspace, 'This run did not finish.\n')
        try:
            _run(stages, wanted, workspace, limit, show, reports)
        except BaseException as error:
            end = f'{type(error).__name__}: {error}\n'
            raise
        finally:
            _write_report(workspace, ''.join(f'{report}\n' for report in reports) + end)
    return reports


def _write_report(workspace: Workspace, text: str) -> None:
    # If the disk is full, the error of the run matters, not this one.
    with contextlib.suppress(OSError):
        atomic_write(workspace.out / 'last_run.txt', text.encode('utf-8', 'backslashreplace'))


def _check_files(stages: Sequence[BaseStage], workspace: Workspace) -> None:
    """Check all stages, and report all missing files together."""
    missing = []
    for stage in stages:
        try:
            stage.check(workspace)
        except FileNotFoundError as error:
            missing.append(str(error))
    if missing:
        raise FileNotFoundError('; '.join(missing))


def _run(
    stages: list[BaseStage],
    wanted: Sequence[str],
    workspace: Workspace,
    limit: int | None,
    show: Callable[[str], None],
    reports: list[Report],
) -> None:
    first = stages[0]
    assert isinstance(first, TileStage)
    images = first.discover(workspace)[:limit]
    if limit is not None:
        _check_limit(stages, images, workspace)
    cache_unused_manifests(workspace.out, workspace.stages)
    while stages:
        # Removed from the list, so that its models are freed before the next ones are loaded.
        stage = stages.pop(0)
        images, report = run_stage(
            stage, images, workspace, stage.name in wanted, partial=limit is not None
        )
        reports.append(report)
        show(str(report))


def _check_workspace(workspace: Workspace) -> None:
    """Refuse folders and devices that cannot work."""
    source, out = workspace.source.resolve(), workspace.out.resolve()
    if out == source or source in out.parents:
        raise ValueError(
            f'--out {workspace.out} must not lie in --in {workspace.source}: the next run '
            'would take its images for tiles'
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f'--out {workspace.out} is a file; it must be a folder')
    usable_device(workspace.device)


def _check_limit(
    stages: Sequence[BaseStage], images: Sequence[ImageRecord], workspace: Workspace
) -> None:
    """A test run on a few images must not replace the splits and annotations of many."""
    few = {image.name for image in images}
    for stage in stages:
        if isinstance(stage, CollectionStage):
            known = Manifest(workspace.out / 'manifest' / f'{stage.name}.jsonl').read().keys()
            if known - few:
                raise ValueError(
                    f'{workspace.out} holds more than the first {len(few)} images, and --limit '
                    'would replace them: choose another --out to try a config'
                )
