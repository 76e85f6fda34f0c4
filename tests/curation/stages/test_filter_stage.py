"""The stage that drops images with low scores."""

import math
from pathlib import Path

import pytest

from urbancross_mm.curation import DROPPED, FilterStage, ImageRecord, Workspace, run_stage
from urbancross_mm.curation.stages.filter_stage import top_share

NAMES = [f'{letter}.jpg' for letter in 'jihgfedcba']


def filtered(tmp_path: Path, scores: dict[str, float | None], **options):
    images = [ImageRecord(name, dict(score=score)) for name, score in scores.items()]
    kept, report = run_stage(FilterStage(**options), images, Workspace(tmp_path, tmp_path))
    return [image.name for image in kept], set(report.reasons)


def test_the_best_thirty_percent_stay(tmp_path: Path) -> None:
    kept, reasons = filtered(tmp_path, {f'{i}.jpg': i / 100 for i in range(10)})
    assert kept == ['7.jpg', '8.jpg', '9.jpg']
    assert (DROPPED, 'score 0.06 is below 0.07, the lowest of the best 30 %') in reasons


def test_the_report_holds_the_bound(tmp_path: Path) -> None:
    workspace, stage = Workspace(tmp_path, tmp_path), FilterStage(keep=0.5)
    images = [ImageRecord(f'{n}.png', dict(score=n / 10)) for n in range(4)]
    _, report = run_stage(stage, images, workspace)
    assert report.remarks == ('score of at least 0.2, the lowest of the best 50 %',)


def test_ties_say_that_they_are_ties(tmp_path: Path) -> None:
    kept, reasons = filtered(tmp_path, {'b.jpg': 0.5, 'a.jpg': 0.5}, keep=0.5)
    assert kept == ['a.jpg']
    assert reasons == {
        (DROPPED, 'score 0.5 equals 0.5, the lowest of the best 50 %, the name comes later')
    }


def test_a_threshold_keeps_what_reaches_it(tmp_path: Path) -> None:
    kept, reasons = filtered(tmp_path, {'a': 0.2, 'b': 0.25, 'c': None}, threshold=0.25)
    assert kept == ['b']
    assert reasons == {
        (DROPPED, 'score 0.2 is below 0.25, the threshold'),
        (DROPPED, 'score is not a number'),
    }


def test_the_settings_hold_the_bound() -> None:
    workspace = Workspace(Path(), Path())
    assert FilterStage().settings(workspace) == dict(by='score', keep=0.3)
    assert FilterStage(threshold=0).settings(workspace) == dict(by='score', threshold=0)


def test_a_missing_field_is_a_mistake_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a.jpg.*'score'"):
        run_stage(FilterStage(), [ImageRecord('a.jpg')], Workspace(tmp_path, tmp_path))


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(keep=0.3, threshold=0.2), 'give keep or threshold, not both; got 0.3 and 0.2'),
        (dict(keep=0), r'keep must lie in \(0, 1\], got 0'),
        (dict(keep=30), r'keep must lie in \(0, 1\], got 30'),
    ],
)
def test_wrong_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FilterStage(**options)


def test_the_best_part_is_exactly_that_part() -> None:
    scores = [i / 10 for i in range(10)]
    assert top_share(scores, NAMES, 0.3) == ([False] * 7 + [True] * 3, 0.7)
    for number in range(1, 41):
        flat = [float(i) for i in range(number)]
        for tenths in range(1, 11):
            kept, _ = top_share(flat, [str(i) for i in range(number)], tenths / 10)
            assert sum(kept) == -(-tenths * number // 10)


def test_equal_scores_are_taken_by_name() -> None:
    kept, bound = top_share([0.5] * 10, NAMES, 0.3)
    assert [name for name, good in zip(NAMES, kept) if good] == ['c.jpg', 'b.jpg', 'a.jpg']
    assert bound == 0.5


def test_what_is_no_number_is_no_score() -> None:
    kept, bound = top_share([math.nan, 0.1, math.nan, 0.2], NAMES[:4], 0.5)
    assert kept == [False, False, False, True] and bound == 0.2
    kept, bound = top_share([math.nan], NAMES[:1], 1)
    assert kept == [False] and math.isnan(bound)
    assert top_share([], [], 0.3)[0] == []
