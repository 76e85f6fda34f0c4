"""Runs a stage: only on what is not done yet, with one record per image."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from urbancross_mm.curation.core.record_cache import RecordCache
from urbancross_mm.curation.core.records import (
    FAILED,
    KEPT,
    ImageRecord,
    Manifest,
    Outcome,
    Record,
    digest,
)
from urbancross_mm.curation.core.report import Report
from urbancross_mm.curation.core.stage import BaseStage, CollectionStage, ImageStage, Workspace
from urbancross_mm.utils.progress import track
from urbancross_mm.version import __version__


def run_stage(
    stage: BaseStage,
    images: Sequence[ImageRecord],
    workspace: Workspace,
    work: bool = True,
    partial: bool = False,
) -> tuple[list[ImageRecord], Report]:
    """Run a stage on the images that are not done yet, and write its manifest.

    Args:
        stage (BaseStage): The stage.
        images (Sequence[ImageRecord]): All images that the stages before have kept.
        workspace (Workspace): Folders and device.
        work (bool): If False, every image must have been done before. Defaults to True.
        partial (bool): If True, these are not all images, and an image stage keeps the records of
            the others. Defaults to False.

    Raises:
        ValueError: If an image is not done and ``work`` is False.

    Returns:
        tuple[list[ImageRecord], Report]: The kept images with their new fields, and a report.
    """
    settings = stage.settings(workspace)
    keys = _keys(stage, images, settings)
    manifest = Manifest(workspace.out / 'manifest' / f'{stage.name}.jsonl')
    made_by = dict(stage=type(stage).__name__, **settings, versions=_versions_of(stage.libraries))
    others: dict[str, Record] = {}
    if isinstance(stage, ImageStage):
        before = manifest.read()
        if partial:
            others = {name: record for name, record in before.items() if name not in keys}
        cache = RecordCache(workspace.out, stage.name)
        done = _done(stage, images, workspace, keys, before, cache, work)
        todo = _todo(stage, images, done, work)
        remade = {image.name for batch in todo for image in batch}
        done = {name: record for name, record in done.items() if name not in remade}
        # From here on files are overwritten. After a kill, no record may claim the old ones.
        _forget(manifest, before, others | done, cache)
        if todo:
            stage.begin(workspace, images)
        records = done | _make(stage, todo, workspace, keys, manifest, made_by)
        made = len(remade)
    else:
        assert isinstance(stage, CollectionStage)
        stage.begin(workspace, images)
        outcomes = stage.decide(images, workspace)
        records = {record.image: record for record in _records(images, outcomes, keys, made_by)}
        made = len(records)
    ordered = [records[image.name] for image in images]
    _write(manifest, others | records)
    kept = [
        image.plus(record.outcome.fields)
        for image, record in zip(images, ordered)
        if record.outcome.status == KEPT
    ]
    return kept, _report(stage.name, ordered, made, stage.summary(images, workspace))


def _keys(
    stage: BaseStage, images: Sequence[ImageRecord], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Hash of everything that the outcome of each image depends on."""
    return {
        image.name: digest(
            type(stage).__name__,
            stage.version,
            settings,
            image.name,
            {name: image.fields.get(name) for name in stage.reads},
        )
        for image in images
    }


def _records(
    images: Sequence[ImageRecord],
    outcomes: Sequence[Outcome],
    keys: Mapping[str, str],
    made_by: Mapping[str, Any],
) -> list[Record]:
    return [
        Record(image.name, keys[image.name], outcome, made_by)
        for image, outcome in zip(images, outcomes, strict=True)
    ]


def _done(
    stage: ImageStage,
    images: Sequence[ImageRecord],
    workspace: Workspace,
    keys: Mapping[str, str],
    before: Mapping[str, Record],
    cache: RecordCache,
    work: bool,
) -> dict[str, Record]:
    """Records of the last or an earlier run that are still valid."""
    done = {}
    for image in images:
        key, record = keys[image.name], before.get(image.name)
        if record is not None and record.key == key:
            failed = record.outcome.status == FAILED  # tried again if the stage may work
            if not work if failed else stage.is_whole(image, record.outcome, workspace):
                done[image.name] = record
        elif (record := cache.get(key)) is not None and stage.fits(
            image, record.outcome, workspace
        ):
            done[image.name] = record
    return done


def _todo(
    stage: ImageStage, images: Sequence[ImageRecord], done: Mapping[str, Record], work: bool
) -> list[Sequence[ImageRecord]]:
    """Batches with an image that is not done."""
    missing = [image for image in images if image.name not in done]
    if missing and not work:
        raise ValueError(
            f'stage {stage.name} has not been run on {len(missing)} images, first '
            f'{missing[0].name}: run it before the stages after it'
        )
    # If batches matter, they are cut from all images, so that a resumed run gives the same bytes.
    chosen = images if stage.batch_matters else missing
    batches = [
        chosen[start : start + stage.batch_size]
        for start in range(0, len(chosen), stage.batch_size)
    ]
    return [batch for batch in batches if any(image.name not in done for image in batch)]


def _forget(
    manifest: Manifest,
    before: Mapping[str, Record],
    valid: Mapping[str, Record],
    cache: RecordCache,
) -> None:
    """Leave only valid records in the manifest, and put the others into the cache."""
    if valid != before:
        cache.keep(record for name, record in before.items() if valid.get(name) != record)
        _write(manifest, valid)


def _make(
    stage: ImageStage,
    todo: Sequence[Sequence[ImageRecord]],
    workspace: Workspace,
    keys: Mapping[str, str],
    manifest: Manifest,
    made_by: Mapping[str, Any],
) -> dict[str, Record]:
    """Process the batches, and record each one as it ends."""
    made: dict[str, Record] = {}
    for batch in _tracked(todo, stage.name):
        records = _records(batch, _attempt(stage, batch, workspace), keys, made_by)
        manifest.append(records)
        made.update((record.image, record) for record in records)
    return made


def _write(manifest: Manifest, records: Mapping[str, Record]) -> None:
    manifest.write(records[name] for name in sorted(records))


def _tracked(
    batches: Sequence[Sequence[ImageRecord]], title: str
) -> Iterator[Sequence[ImageRecord]]:
    """The batches, with a progress bar that counts images."""
    last: Sequence[ImageRecord] = ()
    images = ((group, image) for group in batches for image in group)
    for batch, _ in track(images, title, sum(map(len, batches))):
        if batch is not last:
            yield batch
        last = batch


def _attempt(
    stage: ImageStage, batch: Sequence[ImageRecord], workspace: Workspace
) -> list[Outcome]:
    """Outcomes of a batch. If it fails, its images are tried one by one."""
    try:
        return stage.process(batch, workspace)
    except Exception as error:  # one bad image must not stop the others
        if len(batch) == 1:
            text = ' '.join(str(error).split())
            return [Outcome(status=FAILED, reason=f'{type(error).__name__}: {text}'[:300])]
    return [outcome for image in batch for outcome in _attempt(stage, [image], workspace)]


def _versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of this package and of those libraries that are installed."""
    versions = dict(urbancross_mm=__version__)
    for library in libraries:
        with contextlib.suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def _report(stage: str, records: Sequence[Record], made: int, remarks: Sequence[str]) -> Report:
    counts = Counter(record.outcome.status for record in records)
    reasons = Counter(
        (record.outcome.status, record.outcome.reason)
        for record in records
        if record.outcome.reason
    )
    return Report(stage, len(records), made, counts, reasons, tuple(remarks))
