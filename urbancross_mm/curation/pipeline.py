"""Running the stages of a curation, from where the last run stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from urbancross_mm.curation.records import (
    DROPPED,
    FAILED,
    KEPT,
    Manifest,
    Outcome,
    Picture,
    Record,
    digest,
)
from urbancross_mm.curation.stage import BaseStage, CollectionStage, PictureStage, Workplace
from urbancross_mm.utils.progress import track


@dataclass(frozen=True)
class Report:
    """What a stage did.

    Attributes:
        stage (str): Its name.
        total (int): Pictures that came in.
        made (int): Pictures that were worked on now; the others were done before.
        counts (Counter): Pictures by status.
        reasons (Counter): Pictures by (status, reason), where there is a reason.
        remarks (tuple[str, ...]): What belongs to no single picture.
    """

    stage: str
    total: int
    made: int
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Counts, and the commonest reasons."""
        text = f'{self.stage}: {self.total} in, ' + ', '.join(
            f'{self.counts[status]} {status}' for status in (KEPT, DROPPED, FAILED)
            if self.counts[status] or status == KEPT)
        text += f' ({self.made} made now)'
        for (status, reason), count in self.reasons.most_common(5):
            text += f'\n    {count} {status}: {reason}'
        return '\n    '.join([text, *self.remarks])


def run_stage(stage: BaseStage, pictures: Sequence[Picture], place: Workplace, work: bool = True,
              partial: bool = False) -> tuple[list[Picture], Report]:
    """Run a stage on what is not done yet, and record every picture.

    Args:
        stage (BaseStage): The stage.
        pictures (Sequence[Picture]): All that the stages before have kept.
        place (Workplace): Where it runs.
        work (bool): Off: every picture must have been done before. Defaults to True.
        partial (bool): These are not all pictures; records of others stay. Defaults to False.

    Raises:
        ValueError: If a picture has not been done and ``work`` is off.

    Returns:
        tuple[list[Picture], Report]: The kept pictures, with what is now known of them.
    """
    settings = stage.settings(place)
    keys = {picture.name: digest(type(stage).__name__, settings, picture.name,
                                 {name: picture.fields.get(name) for name in stage.reads})
            for picture in pictures}
    manifest = Manifest(place.out / 'manifest' / f'{stage.name}.jsonl')
    made_by = dict(stage=type(stage).__name__, **settings)
    if isinstance(stage, PictureStage):
        records, made = _by_picture(stage, pictures, place, keys, manifest, made_by, work)
    else:
        assert isinstance(stage, CollectionStage)
        stage.begin(place)
        outcomes = stage.decide(pictures, place)
        records = {picture.name: Record(picture.name, keys[picture.name], outcome, made_by)
                   for picture, outcome in zip(pictures, outcomes, strict=True)}
        made = len(records)
    ordered = [records[picture.name] for picture in pictures]
    others = manifest.read() if partial else {}
    manifest.write((others | records)[name] for name in sorted(others | records))
    kept = [picture.plus(record.outcome.fields)
            for picture, record in zip(pictures, ordered) if record.outcome.status == KEPT]
    return kept, _report(stage.name, ordered, made, stage.summary(pictures, place))


def _by_picture(stage: PictureStage, pictures: Sequence[Picture], place: Workplace,
                keys: dict[str, str], manifest: Manifest, made_by: dict, work: bool
                ) -> tuple[dict[str, Record], int]:
    """Records of an earlier run that still hold, and new ones for the other pictures."""
    done = {}
    before = manifest.read()
    for picture in pictures:
        record = before.get(picture.name)
        if record is not None and record.key == keys[picture.name] \
                and record.outcome.status != FAILED \
                and stage.is_whole(picture, record.outcome, place):
            done[picture.name] = record
    # Batches are cut from all pictures, whatever is done: a score may differ in its last digit with
    # its companions in a batch, and a resumed run must end with the same bytes.
    batches = [pictures[start:start + stage.batch_size]
               for start in range(0, len(pictures), stage.batch_size)]
    todo = [batch for batch in batches if any(picture.name not in done for picture in batch)]
    if todo and not work:
        raise ValueError(f'stage {stage.name} has not been run on {sum(map(len, todo))} pictures, '
                         f'first {todo[0][0].name}: run it before the stages after it')
    if todo:
        stage.begin(place)
    for batch in _tracked(todo, stage.name):
        outcomes = _attempt(stage, batch, place)
        records = [Record(picture.name, keys[picture.name], outcome, made_by)
                   for picture, outcome in zip(batch, outcomes, strict=True)]
        manifest.append(records)
        done.update((record.picture, record) for record in records)
    return done, sum(map(len, todo))


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
    reasons = Counter((record.outcome.status, record.outcome.reason)
                      for record in records if record.outcome.reason)
    return Report(stage, len(records), made, counts, reasons, tuple(remarks))
