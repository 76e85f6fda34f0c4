"""Stages over images: resume, retry, and what makes a record anew."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from urbancross_mm.curation import (
    DROPPED,
    FAILED,
    CollectionStage,
    ImageRecord,
    ImageStage,
    Outcome,
    Workplace,
    run_stage,
)
from urbancross_mm.version import __version__


class Count(ImageStage):
    """Counts letters of the text; notes every image that it works on."""

    name = 'count'
    reads = ('text',)
    libraries = ('numpy', 'no-such-library')

    def __init__(
        self,
        batch_size: int = 1,
        unit: str = 'letters',
        bad: tuple[str, ...] = (),
        stop_at: str | None = None,
    ) -> None:
        super().__init__(batch_size)
        self.unit, self.bad, self.stop_at = unit, bad, stop_at
        self.seen: list[str] = []

    def settings(self, place: Workplace) -> dict[str, Any]:
        return dict(unit=self.unit)

    def process(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        for image in images:
            if image.name == self.stop_at:
                raise KeyboardInterrupt
            if image.name in self.bad:
                raise OSError(f'{image.name} is torn')
        self.seen += [image.name for image in images]
        return [
            Outcome(dict(length=len(image.fields['text'])))
            if image.fields['text']
            else Outcome(status=DROPPED, reason='empty')
            for image in images
        ]


class Rank(CollectionStage):
    name = 'rank'

    def settings(self, place: Workplace) -> dict[str, Any]:
        return {}

    def decide(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        order = sorted(image.fields['length'] for image in images)
        return [Outcome(dict(rank=order.index(image.fields['length']))) for image in images]


IMAGES = [
    ImageRecord(f'{number}.jpg', dict(text='x' * number, other=number)) for number in range(7)
]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, tmp_path / 'out')


def lines(place: Workplace, stage: str = 'count') -> bytes:
    return (place.out / 'manifest' / f'{stage}.jsonl').read_bytes()


def test_kept_images_go_on_and_every_image_is_recorded(place: Workplace) -> None:
    kept, report = run_stage(Count(3), IMAGES, place)
    assert [image.fields['length'] for image in kept] == [1, 2, 3, 4, 5, 6]
    assert lines(place).count(b'\n') == 7
    assert report.counts == {'kept': 6, 'dropped': 1} and report.made == 7
    assert '1 dropped: empty' in str(report)
    ranked, _ = run_stage(Rank(), kept, place)
    assert [image.fields['rank'] for image in ranked] == [0, 1, 2, 3, 4, 5]


def test_a_second_run_makes_nothing(place: Workplace) -> None:
    run_stage(Count(3), IMAGES, place)
    before, again = lines(place), Count(3)
    _, report = run_stage(again, IMAGES, place)
    assert again.seen == [] and report.made == 0 and lines(place) == before


@pytest.mark.parametrize('batch_size', [1, 3])
@pytest.mark.parametrize('torn', [b'', b'{"picture": "5.jpg", "sta'])
def test_a_killed_run_goes_on_to_the_same_bytes(
    place: Workplace, tmp_path: Path, batch_size: int, torn: bytes
) -> None:
    whole = Workplace(tmp_path, tmp_path / 'whole')
    run_stage(Count(batch_size), IMAGES, whole)
    with pytest.raises(KeyboardInterrupt):
        run_stage(Count(batch_size, stop_at='4.jpg'), IMAGES, place)
    with open(place.out / 'manifest/count.jsonl', 'ab') as file:
        file.write(torn)
    rest = Count(batch_size)
    run_stage(rest, IMAGES, place)
    assert rest.seen[0] == ('4.jpg' if batch_size == 1 else '3.jpg')
    assert lines(place) == lines(whole)


def test_only_what_a_change_touches_is_made_again(place: Workplace) -> None:
    run_stage(Count(), IMAGES, place)
    changed = [image.plus(dict(other=0)) for image in IMAGES]
    changed[2] = changed[2].plus(dict(text='yyy'))
    one = Count()
    kept, _ = run_stage(one, changed, place)
    assert one.seen == ['2.jpg'] and kept[1].fields['length'] == 3
    all_of_them = Count(unit='bytes')
    run_stage(all_of_them, changed, place)
    assert len(all_of_them.seen) == 7


def test_a_bad_image_is_recorded_and_tried_again(place: Workplace) -> None:
    kept, report = run_stage(Count(3, bad=('4.jpg',)), IMAGES, place)
    assert len(kept) == 5 and report.counts[FAILED] == 1
    assert report.reasons['failed', 'OSError: 4.jpg is torn'] == 1
    again = Count(3)
    kept, report = run_stage(again, IMAGES, place)
    assert again.seen == ['4.jpg'] and len(kept) == 6


def test_where_companions_matter_a_batch_is_made_again(place: Workplace) -> None:
    run_stage(Count(3, bad=('4.jpg',)), IMAGES, place)
    again = Count(3)
    again.batch_matters = True
    _, report = run_stage(again, IMAGES, place)
    assert again.seen == ['3.jpg', '4.jpg', '5.jpg'] and report.made == 3


def test_a_damaged_manifest_is_named(place: Workplace) -> None:
    run_stage(Count(), IMAGES, place)
    path = place.out / 'manifest/count.jsonl'
    path.write_bytes(b'nonsense\n' + path.read_bytes())
    with pytest.raises(ValueError, match='count.jsonl, line 1'):
        run_stage(Count(), IMAGES, place)


def test_a_limited_run_keeps_the_records_of_the_others(place: Workplace) -> None:
    run_stage(Count(), IMAGES, place)
    before = lines(place)
    run_stage(Count(), IMAGES[:2], place, partial=True)
    assert lines(place) == before
    run_stage(Count(), IMAGES[:2], place)
    assert lines(place).count(b'\n') == 2


def test_a_stage_that_may_not_work_must_have_been_run(place: Workplace) -> None:
    run_stage(Count(), IMAGES[:3], place)
    with pytest.raises(ValueError, match='count has not been run on 4 images, first 3.jpg'):
        run_stage(Count(5), IMAGES, place, work=False)
    kept, _ = run_stage(Count(), IMAGES[:3], place, work=False)
    assert len(kept) == 2


def test_what_failed_before_does_not_stop_the_stages_after_it(place: Workplace) -> None:
    run_stage(Count(bad=('4.jpg',)), IMAGES, place)
    before, idle = lines(place), Count()
    kept, report = run_stage(idle, IMAGES, place, work=False)
    assert len(kept) == 5 and report.counts[FAILED] == 1 and idle.seen == []
    assert lines(place) == before
    with pytest.raises(ValueError, match='not been run on 7 images'):
        run_stage(Count(unit='bytes'), IMAGES, place, work=False)


def test_images_that_did_not_come_in_are_remembered(place: Workplace, tmp_path: Path) -> None:
    run_stage(Count(), IMAGES, place)
    whole = lines(place)
    run_stage(Count(), IMAGES[:3], place)
    alone = Workplace(tmp_path, tmp_path / 'alone')
    run_stage(Count(), IMAGES[:3], alone)
    assert lines(place) == lines(alone)
    again = Count()
    kept, report = run_stage(again, IMAGES, place)
    assert again.seen == [] and report.made == 0 and len(kept) == 6 and lines(place) == whole
    run_stage(Count(), IMAGES[:3], place)
    cache = (place.out / 'cache/records/count.jsonl').read_bytes()
    assert cache.count(b'\n') == 4


def test_an_old_config_comes_back(place: Workplace) -> None:
    run_stage(Count(), IMAGES, place)
    whole = lines(place)
    with pytest.raises(KeyboardInterrupt):
        run_stage(Count(unit='bytes', stop_at='3.jpg'), IMAGES, place)
    assert b'letters' not in lines(place)
    again = Count()
    run_stage(again, IMAGES, place)
    assert again.seen == [] and lines(place) == whole


class Write(Count):
    """Leaves a file an image."""

    def process(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        for image in images:
            (place.out / image.name).write_text(self.unit)
        return super().process(images, place)

    def is_whole(self, image: ImageRecord, outcome: Outcome, place: Workplace) -> bool:
        return (place.out / image.name).is_file()


def test_no_record_of_an_old_config_speaks_for_files_of_a_new_one(place: Workplace) -> None:
    place.out.mkdir()
    run_stage(Write(), IMAGES, place)
    whole = lines(place)
    with pytest.raises(KeyboardInterrupt):
        # Killed between its files and their records.
        run_stage(Write(3, unit='bytes', stop_at='2.jpg'), IMAGES, place)
    run_stage(Write(), IMAGES, place)
    assert lines(place) == whole
    assert {(place.out / image.name).read_text() for image in IMAGES} == {'letters'}


def test_versions_are_told_and_make_nothing_anew(place: Workplace, monkeypatch) -> None:
    run_stage(Count(), IMAGES, place)
    versions = json.loads(lines(place).splitlines()[0])['made_by']['versions']
    assert versions['urbancross_mm'] == __version__ and set(versions) == {'urbancross_mm', 'numpy'}
    monkeypatch.setattr('urbancross_mm.curation.core.versions.__version__', '99')
    assert run_stage(Count(), IMAGES, place)[1].made == 0
    monkeypatch.setattr(Count, 'version', 2)
    assert run_stage(Count(), IMAGES, place)[1].made == 7
    assert b'"urbancross_mm": "99"' in lines(place)
