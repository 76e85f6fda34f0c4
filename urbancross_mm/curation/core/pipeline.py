"""Running the stages of a curation, from where the last run stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from urbancross_mm.curation.core.stage import BaseStage, CollectionStage, ImageStage, Workplace
from urbancross_mm.curation.core.versions import versions_of
from urbancross_mm.utils.progress import track


def run_stage(
    stage: BaseStage,
    images: Sequence[ImageRecord],
    place: Workplace,
    work: bool = True,
    partial: bool = False,
) -> tuple[list[ImageRecord], Report]:
    """Run a stage on what is not done yet, and record every image.

    Args:
        stage (BaseStage): The stage.
        images (Sequence[ImageRecord]): All that the stages before have kept.
        place (Workplace): Where it runs.
        work (bool): Off: every image must have been done before. Defaults to True.
        partial (bool): These are not all images; what an image stage has recorded of others
            stays. Defaults to False.

    Raises:
        ValueError: If an image has not been done and ``work`` is off.

    Returns:
        tuple[list[ImageRecord], Report]: The kept images, with what is now known of them.
    """
    settings = stage.settings(place)
    keys = {
        image.name: digest(
            type(stage).__name__,
            stage.version,
            settings,
            image.name,
            {name: image.fields.get(name) for name in stage.reads},
        )
        for image in images
    }
    manifest = Manifest(place.out / 'manifest' / f'{stage.name}.jsonl')
    made_by = dict(stage=type(stage).__name__, **settings, versions=versions_of(stage.libraries))
    others: dict[str, Record] = {}
    if isinstance(stage, ImageStage):
        before = manifest.read()
        if partial:
            others = {name: record for name, record in before.items() if name not in keys}
        cache = RecordCache(place.out, stage.name)
        done = _done(stage, images, place, keys, before, cache, work)
        todo = _todo(stage, images, done, work)
        remade = {image.name for batch in todo for image in batch}
        done = {name: record for name, record in done.items() if name not in remade}
        # From here on files are written over. After a kill no record shall speak for them.
        _forget(manifest, before, others | done, cache)
        if todo:
            stage.begin(place, images)
        records = done | _make(stage, todo, place, keys, manifest, made_by)
        made = len(remade)
    else:
        assert isinstance(stage, CollectionStage)
        stage.begin(place, images)
        outcomes = stage.decide(images, place)
        records = {
            image.name: Record(image.name, keys[image.name], outcome, made_by)
            for image, outcome in zip(images, outcomes, strict=True)
        }
        made = len(records)
    ordered = [records[image.name] for image in images]
    _write(manifest, others | records)
    kept = [
        image.plus(record.outcome.fields)
        for image, record in zip(images, ordered)
        if record.outcome.status == KEPT
    ]
    return kept, _report(stage.name, ordered, made, stage.summary(images, place))


def _done(
    stage: ImageStage,
    images: Sequence[ImageRecord],
    place: Workplace,
    keys: Mapping[str, str],
    before: Mapping[str, Record],
    cache: RecordCache,
    work: bool,
) -> dict[str, Record]:
    """Records that still hold, of the last run or an earlier one."""
    done = {}
    for image in images:
        key, record = keys[image.name], before.get(image.name)
        if record is not None and record.key == key:
            # A failed one is tried again, if anything may be tried.
            if (
                not work
                if record.outcome.status == FAILED
                else stage.is_whole(image, record.outcome, place)
            ):
                done[image.name] = record
        elif (record := cache.get(key)) is not None and stage.fits(image, record.outcome, place):
            done[image.name] = record
    return done


def _todo(
    stage: ImageStage, images: Sequence[ImageRecord], done: Mapping[str, Record], work: bool
) -> list[Sequence[ImageRecord]]:
    """Batches in which an image is not done."""
    missing = [image for image in images if image.name not in done]
    if missing and not work:
        raise ValueError(
            f'stage {stage.name} has not been run on {len(missing)} images, first '
            f'{missing[0].name}: run it before the stages after it'
        )
    # If companions matter, batches are cut from all images, whatever is done: a resumed run must
    # end with the same bytes.
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
    """Leave only records in the manifest that hold, and remember the others."""
    if valid != before:
        cache.keep(record for name, record in before.items() if valid.get(name) != record)
        _write(manifest, valid)


def _make(
    stage: ImageStage,
    todo: Sequence[Sequence[ImageRecord]],
    place: Workplace,
    keys: Mapping[str, str],
    manifest: Manifest,
    made_by: Mapping[str, Any],
) -> dict[str, Record]:
    """Work, and record each batch as it ends."""
    found: dict[str, Record] = {}
    for batch in _tracked(todo, stage.name):
        outcomes = _attempt(stage, batch, place)
        records = [
            Record(image.name, keys[image.name], outcome, made_by)
            for image, outcome in zip(batch, outcomes, strict=True)
        ]
        manifest.append(records)
        found.update((record.image, record) for record in records)
    return found


def _write(manifest: Manifest, records: Mapping[str, Record]) -> None:
    manifest.write(records[name] for name in sorted(records))


def _tracked(
    batches: Sequence[Sequence[ImageRecord]], title: str
) -> Iterator[Sequence[ImageRecord]]:
    """Batches under a bar that counts images."""
    last: Sequence[ImageRecord] = ()
    images = ((group, image) for group in batches for image in group)
    for batch, _ in track(images, title, sum(map(len, batches))):
        if batch is not last:
            yield batch
        last = batch


def _attempt(stage: ImageStage, batch: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
    """Outcomes of a batch; if it fails, those of its images one by one."""
    try:
        return stage.process(batch, place)
    except Exception as error:  # one bad image must not end the others
        if len(batch) == 1:
            text = ' '.join(str(error).split())
            return [Outcome(status=FAILED, reason=f'{type(error).__name__}: {text}'[:300])]
    return [outcome for image in batch for outcome in _attempt(stage, [image], place)]


def _report(stage: str, records: Sequence[Record], made: int, remarks: Sequence[str]) -> Report:
    counts = Counter(record.outcome.status for record in records)
    reasons = Counter(
        (record.outcome.status, record.outcome.reason)
        for record in records
        if record.outcome.reason
    )
    return Report(stage, len(records), made, counts, reasons, tuple(remarks))
