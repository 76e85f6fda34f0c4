"""A curation from a config: stages in order, and a report of every picture that went through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.config import Config

from urbancross_mm.apis.config import for_checkpoint, nested_dicts
from urbancross_mm.curation import BaseStage, Picture, Report, TileStage, Workplace, run_stage
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.lock import only_one


def build_stages(cfg: Config) -> list[BaseStage]:
    """Build the stages of a config; no model is loaded yet.

    Args:
        cfg (Config): With ``stages``, a list of stage configs, the tiles first.

    Returns:
        list[BaseStage]: In order.

    Raises:
        ValueError: If there are none, the first makes no tiles, or two have one name.
    """
    # Registers the stages that need the data sets.
    import urbancross_mm.apis.curation_export  # noqa: F401

    if not cfg.get('stages'):
        raise ValueError(f'{cfg.filename} has no stages: it is no config of a curation')
    for scorer in nested_dicts(cfg.stages, 'RetrieverScorer'):
        if scorer.get('checkpoint'):
            # A trained model does not need the weights that it once started from.
            scorer['model'] = for_checkpoint(scorer['model'])
    stages = [CURATION.build(stage) for stage in cfg.stages]
    for stage in stages:
        if not isinstance(stage, BaseStage):
            raise ValueError(f'{type(stage).__name__} is no stage')
    names = [stage.name for stage in stages]
    if not isinstance(stages[0], TileStage) or len(set(names)) < len(names):
        raise ValueError('the stages begin with TileStage and each stands once, got '
                         f'{", ".join(names)}')
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
        limit (int, optional): Only the first pictures. Defaults to None.
        show (Callable): Takes the report of each stage as it ends. Defaults to print.

    Returns:
        list[Report]: One a stage.

    Raises:
        FileNotFoundError: If the source, or a file that a stage needs, is missing.
        ImportError: If an extra is not installed.
        ValueError: If the config or a stage's name is wrong, a stage before the wanted ones has
            not been run, or another process works in ``out``.
    """
    place = Workplace(Path(source), Path(out), device, workers)
    stages = build_stages(cfg)
    names = [stage.name for stage in stages]
    wanted = list(only or names)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(f'no stage {unknown[0]!r} in the config; it has {", ".join(names)}')
    stages = stages[:max(names.index(name) for name in wanted) + 1]
    for stage in stages:
        if stage.name in wanted:
            stage.check(place)
    with only_one(place.out):
        reports = _run(stages, wanted, place, limit, show)
        atomic_write(place.out / 'last_run.txt', '\n'.join(map(str, reports)) + '\n')
    return reports


def _run(stages: list[BaseStage], wanted: Sequence[str], place: Workplace, limit: int | None,
         show: Callable[[str], None]) -> list[Report]:
    pictures: Sequence[Picture] = stages[0].discover(place)[:limit]  # type: ignore[attr-defined]
    reports = []
    while stages:
        # Taken out of the list, so that its models make room for those of the next one.
        stage = stages.pop(0)
        pictures, report = run_stage(stage, pictures, place, stage.name in wanted,
                                     partial=limit is not None)
        reports.append(report)
        show(str(report))
    return reports
