"""Stages over images: resume, retry, and what makes a record again."""

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
    Workspace,
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

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        return dict(unit=self.unit)

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
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

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        return {}

    def decide(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        order = sorted(image.fields['length'] for image in images)
        return [Outcome(dict(rank=order.index(image.fields['length']))) for image in images]


IMAGES = [
    ImageRecord(f'{number}.jpg', dict(text='x' * number, other=number)) for number in range(7)
]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, tmp_path / 'out')


def lines(workspace: Workspace, stage: str = 'count') -> bytes:
    return (workspace.out / 'manifest' / f'{stage}.jsonl').read_bytes()


def test_kept_images_go_on_and_every_image_is_recorded(workspace: Workspace) -> None:
    kept, report = run_stage(Count(3), IMAGES, workspace)
    assert [image.fields['length'] for image in kept] == [1, 2, 3, 4, 5, 6]
    assert lines(workspace).count(b'\n') == 7
    assert report.counts == {'kept': 6, 'dropped': 1} and report.made == 7
    assert '1 dropped: empty' in str(report)
    ranked, _ = run_stage(Rank(), kept, workspace)
    assert [image.fields['rank'] for image in ranked] == [0, 1, 2, 3, 4, 5]


def test_a_second_run_makes_nothing(workspace: Workspace) -> None:
    run_stage(Count(3), IMAGES, workspace)
    before, again = lines(workspace), Count(3)
    _, report = run_stage(again, IMAGES, workspace)
    assert again.seen == [] and report.made == 0 and lines(workspace) == before


@pytest.mark.parametrize('batch_size', [1, 3])
@pytest.mark.parametrize('torn', [b'', b'{"picture": "5.jpg", "sta'])
def test_a_killed_run_goes_on_to_the_same_bytes(
    workspace: Workspace, tmp_path: Path, batch_size: int, torn: bytes
) -> None:
    whole = Workspace(tmp_path, tmp_path / 'whole')
    run_stage(Count(batch_size), IMAGES, whole)
    with pytest.raises(KeyboardInterrupt):
        run_stage(Count(batch_size, stop_at='4.jpg'), IMAGES, workspace)
    with open(workspace.out / 'manifest/count.jsonl', 'ab') as file:
        file.write(torn)
    rest = Count(batch_size)
    run_stage(rest, IMAGES, workspace)
    assert rest.seen[0] == ('4.jpg' if batch_size == 1 else '3.jpg')
    assert lines(workspace) == lines(whole)


def test_only_what_a_change_touches_is_made_again(workspace: Workspace) -> None:
    run_stage(Count(), IMAGES, workspace)
    changed = [image.plus(dict(other=0)) for image in IMAGES]
    changed[2] = changed[2].plus(dict(text='yyy'))
    one = Count()
    kept, _ = run_stage(one, changed, workspace)
    assert one.seen == ['2.jpg'] and kept[1].fields['length'] == 3
    all_of_them = Count(unit='bytes')
    run_stage(all_of_them, changed, workspace)
    assert len(all_of_them.seen) == 7


def test_a_bad_image_is_recorded_and_tried_again(workspace: Workspace) -> None:
    kept, report = run_stage(Count(3, bad=('4.jpg',)), IMAGES, workspace)
    assert len(kept) == 5 and report.counts[FAILED] == 1
    assert report.reasons['failed', 'OSError: 4.jpg is torn'] == 1
    again = Count(3)
    kept, report = run_stage(again, IMAGES, workspace)
    assert again.seen == ['4.jpg'] and len(kept) == 6


def test_where_companions_matter_a_batch_is_made_again(workspace: Workspace) -> None:
    run_stage(Count(3, bad=('4.jpg',)), IMAGES, workspace)
    again = Count(3)
    again.batch_matters = True
    _, report = run_stage(again, IMAGES, workspace)
    assert again.seen == ['3.jpg', '4.jpg', '5.jpg'] and report.made == 3


def test_a_damaged_manifest_is_named(workspace: Workspace) -> None:
    run_stage(Count(), IMAGES, workspace)
    path = workspace.out / 'manifest/count.jsonl'
    path.write_bytes(b'nonsense\n' + path.read_bytes())
    with pytest.raises(ValueError, match='count.jsonl, line 1'):
        run_stage(Count(), IMAGES, workspace)


def test_a_limited_run_keeps_the_records_of_the_others(workspace: Workspace) -> None:
    run_stage(Count(), IMAGES, workspace)
    before = lines(workspace)
    run_stage(Count(), IMAGES[:2], workspace, partial=True)
    assert lines(workspace) == before
    run_stage(Count(), IMAGES[:2], workspace)
    assert lines(workspace).count(b'\n') == 2


def test_a_stage_that_may_not_work_must_have_been_run(workspace: Workspace) -> None:
    run_stage(Count(), IMAGES[:3], workspace)
    with pytest.raises(ValueError, match='count.* 4 images.* 3.jpg'):
        run_stage(Count(5), IMAGES, workspace, work=False)
    kept, _ = run_stage(Count(), IMAGES[:3], workspace, work=False)
    assert len(kept) == 2


def test_what_failed_before_does_not_stop_the_stages_after_it(workspace: Workspace) -> None:
    run_stage(Count(bad=('4.jpg',)), IMAGES, workspace)
    before, idle = lines(workspace), Count()
    kept, report = run_stage(idle, IMAGES, workspace, work=False)
    assert len(kept) == 5 and report.counts[FAILED] == 1 and idle.seen == []
    assert lines(workspace) == before
    with pytest.raises(ValueError, match='7 images'):
        run_stage(Count(unit='bytes'), IMAGES, workspace, work=False)


def test_images_that_did_not_come_in_are_remembered(workspace: Workspace, tmp_path: Path) -> None:
    run_stage(Count(), IMAGES, workspace)
    whole = lines(workspace)
    run_stage(Count(), IMAGES[:3], workspace)
    alone = Workspace(tmp_path, tmp_path / 'alone')
    run_stage(Count(), IMAGES[:3], alone)
    assert lines(workspace) == lines(alone)
    again = Count()
    kept, report = run_stage(again, IMAGES, workspace)
    assert again.seen == [] and report.made == 0 and len(kept) == 6 and lines(workspace) == whole
    run_stage(Count(), IMAGES[:3], workspace)
    cache = (workspace.out / 'cache/records/count.jsonl').read_bytes()
    assert cache.count(b'\n') == 4


def test_an_old_config_comes_back(workspace: Workspace) -> None:
    run_stage(Count(), IMAGES, workspace)
    whole = lines(workspace)
    with pytest.raises(KeyboardInterrupt):
        run_stage(Count(unit='bytes', stop_at='3.jpg'), IMAGES, workspace)
    assert b'letters' not in lines(workspace)
    again = Count()
    run_stage(again, IMAGES, workspace)
    assert again.seen == [] and lines(workspace) == whole


class Write(Count):
    """Leaves a file an image."""

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        for image in images:
            (workspace.out / image.name).write_text(self.unit)
        return super().process(images, workspace)

    def is_whole(self, image: ImageRecord, outcome: Outcome, workspace: Workspace) -> bool:
        return (workspace.out / image.name).is_file()


def test_no_record_of_an_old_config_speaks_for_files_of_a_new_one(workspace: Workspace) -> None:
    workspace.out.mkdir()
    run_stage(Write(), IMAGES, workspace)
    whole = lines(workspace)
    with pytest.raises(KeyboardInterrupt):
        # Killed between its files and their records.
        run_stage(Write(3, unit='bytes', stop_at='2.jpg'), IMAGES, workspace)
    run_stage(Write(), IMAGES, workspace)
    assert lines(workspace) == whole
    assert {(workspace.out / image.name).read_text() for image in IMAGES} == {'letters'}


def test_versions_are_recorded_and_process_nothing_again(workspace: Workspace, monkeypatch) -> None:
    run_stage(Count(), IMAGES, workspace)
    versions = json.loads(lines(workspace).splitlines()[0])['made_by']['versions']
    assert versions['urbancross_mm'] == __version__ and set(versions) == {'urbancross_mm', 'numpy'}
    monkeypatch.setattr('urbancross_mm.curation.core.pipeline.__version__', '99')
    assert run_stage(Count(), IMAGES, workspace)[1].made == 0
    monkeypatch.setattr(Count, 'version', 2)
    assert run_stage(Count(), IMAGES, workspace)[1].made == 7
    assert b'"urbancross_mm": "99"' in lines(workspace)
