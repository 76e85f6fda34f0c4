"""The report: its verdicts, and the files that it writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.inference.trust.world import items
from urbancross_mm.inference.trust.calibration import CALIBRATION
from urbancross_mm.inference.trust.estimate import Estimate, estimate
from urbancross_mm.inference.trust.files import write_report
from urbancross_mm.inference.trust.report import Report, make_report
from urbancross_mm.inference.trust.verdict import VERDICTS, judge

# A source that speaks of what the good target shows.
SOURCE = items()[0].target


def report_of(steps: int = 240, **options) -> Report:
    return make_report(*items(**options), SOURCE, steps)


@pytest.fixture(scope='module')
def good() -> Report:
    return report_of()


def test_a_good_case_is_adapted(good: Report) -> None:
    assert good.verdict.name == 'adapted', good
    assert good.gain == estimate(good.measured, CALIBRATION) and good.gain.low > 0
    assert f'{good.gain.gain:+.0f} %' in good.verdict.reason


def test_other_content_does_not_match() -> None:
    verdict = report_of(told=range(8, 16)).verdict
    assert verdict.name == 'content does not match' and 'better texts' in verdict.reason


@pytest.mark.parametrize(
    ('missing', 'name'),
    [
        ((0.05, 0.05), 'adapted'),
        ((0.15, 0.0), 'uncertain'),
        ((0.02, 0.3), 'content does not match'),
    ],
)
def test_content_that_the_source_has_and_the_target_lacks(
    good: Report, missing: tuple[float, float], name: str
) -> None:
    measured = dict(good.measured, missing_texts=missing[0], missing_images=missing[1])
    verdict = judge(measured, Estimate(30, 5, 50, []), 0.1)
    assert verdict.name == name
    if name != 'adapted':
        assert f'{missing[0]:.0%} of the images' in verdict.reason


def test_twenty_steps_are_not_enough() -> None:
    verdict = report_of(20).verdict
    assert verdict.name == 'not enough steps' and '20' in verdict.reason and '240' in verdict.reason


def test_a_model_that_lost_the_plan_is_not_used() -> None:
    known, images, texts = items()
    generator = torch.Generator().manual_seed(1)
    lost = [torch.randn(rows.shape, generator=generator) for rows in (images, texts)]
    verdict = make_report(known, *lost, SOURCE, 240).verdict
    assert verdict.name == 'do not use' and 'plan' in verdict.reason


def test_never_adapted_where_a_loss_is_possible(good: Report) -> None:
    for low, high, name in ((-1, 30, 'uncertain'), (-30, -1, 'do not use'), (1, 30, 'adapted')):
        verdict = judge(good.measured, Estimate((low + high) / 2, low, high, []), 0.1)
        assert verdict.name == name and f'{low:+d} to {high:+d} %' in verdict.reason
        assert verdict.name in VERDICTS
    beyond = judge(good.measured, Estimate(20, 5, 40, ['fit']), 0.1)
    assert beyond.name == 'uncertain' and 'values of fit' in beyond.reason


def test_the_files_name_the_values(good: Report, tmp_path: Path) -> None:
    known, images, texts = items(told=range(6), folder=tmp_path)
    report = make_report(known, images, texts, SOURCE, 240)
    out = tmp_path / 'new' / 'report'
    files = write_report(report, out, dict(adapted='a.pth', source='b.pth'))
    assert sorted(out.iterdir()) == sorted(files)
    content = json.loads((out / 'report.json').read_text())
    assert content['verdict'] == report.verdict.name and content['adapted'] == 'a.pth'
    assert content['measures'] == report.measured
    assert content['gain_percent']['low'] == report.gain.low
    assert content['calibration']['runs'] == CALIBRATION.runs
    page = (out / 'report.md').read_text()
    for words in (
        f'# {report.verdict.name}',
        report.verdict.reason[1:],
        f'{report.gain.gain:+.0f} %',
        f'{report.measured["hubness_after"]:.3f}',
        f'{report.measured["stability"]:.2f}',
        'b.pth',
    ):
        assert words in page
    with (out / 'images_left.csv').open() as file:
        left = list(csv.DictReader(file))
    assert [line['img_id'] for line in left] == [known.img_ids[row] for row in report.left[0].rows]
    assert Path(left[0]['img_path']).is_file() and float(left[0]['mass']) < 0.5
    with (out / 'texts_left.csv').open() as file:
        assert all(line['text'] in known.texts for line in csv.DictReader(file))
    assert Image.open(out / 'images_left.png').width > 140


def test_without_image_files_there_are_no_sheets(good: Report, tmp_path: Path) -> None:
    names = [path.name for path in write_report(good, tmp_path, {})]
    assert sorted(names) == ['images_left.csv', 'report.json', 'report.md', 'texts_left.csv']


def test_a_large_target_is_measured_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (('MOST_IMAGES', 60), ('MOST_TEXTS', 70)):
        monkeypatch.setattr(f'urbancross_mm.inference.trust.report.{name}', most)
    known, images, texts = items()
    report = make_report(known, images, texts, SOURCE, 240)
    assert (report.measured['images'], report.measured['texts']) == (60, 70)
    rows = torch.tensor([known.img_ids.index(name) for name in report.items.img_ids])
    assert torch.equal(report.items.target.image_feats, known.target.image_feats[rows])
    assert max(report.left[0].rows) >= 60  # of all images
    assert make_report(known, images, texts, SOURCE, 240).measured == report.measured


def test_three_images_are_too_few() -> None:
    with pytest.raises(ValueError, match='20 images .*got 3 and 200'):
        report_of(each=1, seen=range(3), told=[c for c in range(8) for _ in range(25)])
