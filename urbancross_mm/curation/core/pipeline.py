"""Running the stages of a curation, from where the last run stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from urbancross_mm.curation.core.record_cache import RecordCache
from urbancross_mm.curation.core.records import (
    FAILED,
    KEPT,
    Manifest,
    Outcome,
    Picture,
    Record,
    digest,
)
from urbancross_mm.curation.core.report import Report
from urbancross_mm.curation.core.stage import BaseStage, CollectionStage, PictureStage, Workplace
from urbancross_mm.curation.core.versions import versions_of
from urbancross_mm.utils.progress import track


def run_stage(
    stage: BaseStage,
    pictures: Sequence[Picture],
    place: Workplace,
    work: bool = True,
    partial: bool = False,
) -> tuple[list[Picture], Report]:
    """Run a stage on what is not done yet, and record every picture.

    Args:
        stage (BaseStage): The stage.
        pictures (Sequence[Picture]): All that the stages before have kept.
        place (Workplace): Where it runs.
        work (bool): Off: every picture must have been done before. Defaults to True.
        partial (bool): These are not all pictures; what a picture stage has recorded of others
            stays. Defaults to False.

    Raises:
        ValueError: If a picture has not been done and ``work`` is off.

    Returns:
        tuple[list[Picture], Report]: The kept pictures, with what is now known of them.
    """
    settings = stage.settings(place)
    keys = {
        picture.name: digest(
            type(stage).__name__,
            stage.version,
            settings,
            picture.name,
            {name: picture.fields.get(name) for name in stage.reads},
        )
        for picture in pictures
    }
    manifest = Manifest(place.out / 'manifest' / f'{stage.name}.jsonl')
    made_by = dict(stage=type(stage).__name__, **settings, versions=versions_of(stage.libraries))
    others: dict[str, Record] = {}
    if isinstance(stage, PictureStage):
        before = manifest.read()
        if partial:
            others = {name: record for name, record in before.items() if name not in keys}
        cache = RecordCache(place.out, stage.name)
        done = _done(stage, pictures, place, keys, before, cache, work)
        todo = _todo(stage, pictures, done, work)
        remade = {picture.name for batch in todo for picture in batch}
        done = {name: record for name, record in done.items() if name not in remade}
        # From here on files are written over. After a kill no record shall speak for them.
        _forget(manifest, before, others | done, cache)
        if todo:
            stage.begin(place, pictures)
        records = done | _make(stage, todo, place, keys, manifest, made_by)
        made = len(remade)
    else:
        assert isinstance(stage, CollectionStage)
        stage.begin(place, pictures)
        outcomes = stage.decide(pictures, place)
        records = {
            picture.name: Record(picture.name, keys[picture.name], outcome, made_by)
            for picture, outcome in zip(pictures, outcomes, strict=True)
        }
        made = len(records)
    ordered = [records[picture.name] for picture in pictures]
    _write(manifest, others | records)
    kept = [
        picture.plus(record.outcome.fields)
        for picture, record in zip(pictures, ordered)
        if record.outcome.status == KEPT
    ]
    return kept, _report(stage.name, ordered, made, stage.summary(pictures, place))


def _done(
    stage: PictureStage,
    pictures: Sequence[Picture],
    place: Workplace,
    keys: Mapping[str, str],
    before: Mapping[str, Record],
    cache: RecordCache,
    work: bool,
) -> dict[str, Record]:
    """Records that still hold, of the last run or an earlier one."""
    done = {}
    for picture in pictures:
        key, record = keys[picture.name], before.get(picture.name)
        if record is not None and record.key == key:
            # A failed one is tried again, if anything may be tried.
            if (
                not work
                if record.outcome.status == FAILED
                else stage.is_whole(picture, record.outcome, place)
            ):
                done[picture.name] = record
        elif (record := cache.get(key)) is not None and stage.fits(picture, record.outcome, place):
            done[picture.name] = record
    return done


def _todo(
    stage: PictureStage, pictures: Sequence[Picture], done: Mapping[str, Record], work: bool
) -> list[Sequence[Picture]]:
    """Batches in which a picture is not done."""
    missing = [picture for picture in pictures if picture.name not in done]
    if missing and not work:
        raise ValueError(
            f'stage {stage.name} has not been run on {len(missing)} pictures, first '
            f'{missing[0].name}: run it before the stages after it'
        )
    # If companions matter, batches are cut from all pictures, whatever is done: a resumed run must
    # end with the same bytes.
    chosen = pictures if stage.batch_matters else missing
    batches = [
        chosen[start : start + stage.batch_size]
        for start in range(0, len(chosen), stage.batch_size)
    ]
    return [batch for batch in batches if any(picture.name not in done for picture in batch)]


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
    stage: PictureStage,
    todo: Sequence[Sequence[Picture]],
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
            Record(picture.name, keys[picture.name], outcome, made_by)
            for picture, outcome in zip(batch, outcomes, strict=True)
        ]
        manifest.append(records)
        found.update((record.picture, record) for record in records)
    return found


def _write(manifest: Manifest, records: Mapping[str, Record]) -> None:
    manifest.write(records[name] for name in sorted(records))


def _tracked(batches: Sequence[Sequence[Picture]], title: str) -> Iterator[Sequence[Picture]]:
    """Batches under a bar that counts pictures."""
    last: Sequence[Picture] = ()
    pictures = ((group, picture) for group in batches for picture in group)
    for batch, _ in track(pictures, title, sum(map(len, batches))):
        if batch is not last:
            yield batch
        last = batch


def _attempt(stage: PictureStage, batch: Sequence[Picture], place: Workplace) -> list[Outcome]:
    """Outcomes of a batch; if it fails, those of its pictures one by one."""
    try:
        return stage.process(batch, place)
    except Exception as error:  # one bad picture must not end the others
        if len(batch) == 1:
            text = ' '.join(str(error).split())
            return [Outcome(status=FAILED, reason=f'{type(error).__name__}: {text}'[:300])]
    return [outcome for picture in batch for outcome in _attempt(stage, [picture], place)]


def _report(stage: str, records: Sequence[Record], made: int, remarks: Sequence[str]) -> Report:
    counts = Counter(record.outcome.status for record in records)
    reasons = Counter(
        (record.outcome.status, record.outcome.reason)
        for record in records
        if record.outcome.reason
    )
    return Report(stage, len(records), made, counts, reasons, tuple(remarks))
