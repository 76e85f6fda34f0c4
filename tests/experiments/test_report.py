"""Statistics over seeds, and the report in three formats."""

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.experiments.fakes import fake_job, spec_of, write_configs
from urbancross_mm.experiments import JobFolder, Results, plan, write_report
from urbancross_mm.experiments.report import summary, to_png
from urbancross_mm.experiments.results import Cell


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return finished(tmp_path)


def finished(
    root: Path, without: tuple[str, ...] = (), failed: tuple[str, ...] = (), **settings: object
) -> Results:
    """A matrix of two seeds, with holes where asked."""
    write_configs(root)
    jobs = plan(spec_of(root, seeds=(0, 2), **settings))
    for job in jobs:
        if job.name in failed:
            JobFolder(root / 'out', job).fail('no luck')
        elif job.name not in without:
            fake_job(job, str(root / 'out'), 'last')
    return Results(jobs, root / 'out')


def test_a_cell_is_mean_and_sample_deviation() -> None:
    assert str(Cell(pd.Series([1.0, 3.0]))) == '2.00 ± 1.41'
    assert str(Cell(pd.Series([1.0]))) == '1.00'
    assert str(Cell(pd.Series([1.0, 3.0]), ('failed',))) == '2.00 ± 1.41 (1 of 3 failed)'
    assert str(Cell(pd.Series(dtype=float), ('failed',))) == 'failed'
    assert str(Cell(pd.Series(dtype=float), ('not run',))) == 'not run'
    assert str(Cell(pd.Series(dtype=float))) == '-'


def test_cells_of_a_finished_matrix(results: Results) -> None:
    assert str(results.cell('source-only', 'a', 'b')) == '41.00 ± 1.41'
    assert str(results.cell('plain', 'a', 'b')) == '43.00 ± 1.41'
    assert str(results.cell('plain', 'a', 'a')) == '-'
    in_target = results.cell('in-target', 'a', 'b')
    assert str(in_target) == str(results.cell('source-only', 'b', 'b')) == '51.00 ± 1.41'
    assert results.gain('plain', 'a', 'b') == pytest.approx(100 * 2 / 41)
    assert results.gains('in-target')['source-only'] == pytest.approx(100 * 10 / 41)
    assert str(results.average('plain')) == '43.00 ± 1.41'


def test_a_gain_compares_the_same_seeds(tmp_path: Path) -> None:
    results = finished(tmp_path, failed=('plain_a2b_seed2',))
    assert results.gain('plain', 'a', 'b') == pytest.approx(100 * (42 / 40 - 1))
    assert str(results.cell('plain', 'a', 'b')) == '42.00 (1 of 2 failed)'
    assert str(results.average('plain')) == '42.00 (1 of 2 failed)'


def test_a_gain_over_nothing_is_no_number(results: Results) -> None:
    results.runs.loc[results.runs.method == 'source-only', 'mR'] = 0.0
    assert math.isnan(results.gain('plain', 'a', 'b'))
    assert '| a -> b | 0.00 ± 0.00 | 43.00 ± 1.41 |' in summary(results)


def test_the_summary(results: Results) -> None:
    lines = summary(results).splitlines()
    assert lines[0] == '| source -> target | source-only | plain | in-target |'
    assert lines[2] == (
        '| a -> b | 41.00 ± 1.41 | 43.00 ± 1.41 (+4.9 %) | 51.00 ± 1.41 (+24.4 %) |'
    )
    assert lines[-1] == lines[2].replace('a -> b', 'average')
    assert len(lines) == 2 + 6 + 1


def test_gains_over_the_source_model_and_over_the_control(tmp_path: Path) -> None:
    results = finished(tmp_path, control=True)
    lines = summary(results).splitlines()
    assert lines[0] == '| source -> target | source-only | control | plain | in-target |'
    assert lines[2] == (
        '| a -> b | 41.00 ± 1.41 | 42.00 ± 1.41 (+2.4 %) '
        '| 43.00 ± 1.41 (+4.9 %, +2.4 % over control) | 51.00 ± 1.41 (+24.4 %) |'
    )
    assert lines[-1] == lines[2].replace('a -> b', 'average')
    assert results.gain('plain', 'a', 'b', 'control') == pytest.approx(100 / 42)
    report = write_report(results, tmp_path / 'out', 'last', '', 0)[0].read_text()
    assert '## control\n' in report and 'without anything that adapts' in report


def test_label_free_scores_stand_beside_mr(tmp_path: Path) -> None:
    results = finished(tmp_path, control=True, without=('plain_a2b_seed0', 'plain_a2b_seed2'))
    files = write_report(results, tmp_path / 'out', 'last', '', 0)
    table = files[0].read_text().partition('## Label-free scores\n\n')[2].splitlines()
    assert table[0].startswith('| source -> target | method | mR | agreement | hubness_i2t |')
    assert table[2:6] == [
        '| a -> b | source-only | 41.00 ± 1.41 | 0.041 ± 0.001 | - | - | - | - |',
        '| a -> b | control | 42.00 ± 1.41 | 0.042 ± 0.001 | - | - | - | - |',
        '| a -> b | plain | not run | not run | not run | not run | not run | not run |',
        '| a -> b | in-target | 51.00 ± 1.41 | 0.051 ± 0.001 | - | - | - | - |',
    ]
    runs = pd.read_csv(files[1]).set_index('job')
    assert runs.agreement['source-only_a2b_seed0'] == 0.04
    assert {'hubness_i2t', 'hubness_t2i', 'entropy_i2t', 'entropy_t2i'} <= set(runs.columns)


def test_directions_that_were_named_and_what_is_skipped(tmp_path: Path) -> None:
    results = finished(tmp_path, domains=('a', 'b'), only=(('a', 'b'),))
    assert results.directions == [('a', 'b')] and results.domains == ['a', 'b']
    lines = summary(results).splitlines()
    assert lines[2:] == [
        '| a -> b | 41.00 ± 1.41 | 43.00 ± 1.41 (+4.9 %) | - |',
        '| average | 41.00 ± 1.41 | 43.00 ± 1.41 (+4.9 %) | - |',
    ]
    report = write_report(results, tmp_path / 'out', 'last', '', 0)[0].read_text()
    assert '- directions: a2b\n' in report
    assert '- skipped: in-target models of b, ' in report


def test_holes_are_never_silent(tmp_path: Path) -> None:
    results = finished(
        tmp_path,
        failed=('plain_a2b_seed0', 'plain_a2b_seed2'),
        without=('plain_c2a_seed0', 'plain_c2a_seed2'),
    )
    text = summary(results)
    assert '| a -> b | 41.00 ± 1.41 | failed |' in text
    assert '| c -> a | 41.00 ± 1.41 | not run |' in text
    assert '| average | 41.00 ± 1.41 | failed |' in text
    assert math.isnan(results.gains('plain')['source-only'])
    files = write_report(results, tmp_path / 'out', 'last', 'command', 0)
    report = files[0].read_text()
    assert '- plain_a2b_seed0: no luck' in report and '- jobs: 26 done, 2 failed' in report
    table = pd.read_csv(files[1])
    assert table.status.value_counts().to_dict() == {'done': 26, 'failed': 2, 'not run': 2}
    assert set(table[table.status == 'failed'].error) == {'no luck'}


def test_the_files(results: Results, tmp_path: Path) -> None:
    files = write_report(results, tmp_path / 'out', 'last', "python tool.py --out 'my runs'", 3700)
    assert [file.name for file in files] == ['matrix.md', 'runs.csv', 'matrix.png']
    report = files[0].read_text()
    for part in (
        '## source-only',
        '| a | 51.00 ± 1.41 | 41.00 ± 1.41 | 41.00 ± 1.41 |',
        '## plain',
        '| a | - | 43.00 ± 1.41 | 43.00 ± 1.41 |',
        '- seeds: 0 2',
        'a 8 images and 40 captions',
        '- jobs: 30 done',
        "`python tool.py --out 'my",
        '- time: 18 min 30 s of jobs in all, 1 h 1 min this call',
        'torch 2',
        'without a pair of the target',
    ):
        assert part in report, part
    assert '## Failed' not in report and 'skipped' not in report
    table = pd.read_csv(files[1])
    assert len(table) == 30 and table.mR.notna().all()
    assert table.checkpoint[0] == 'source_a_seed0.pth' and table.seconds[0] == 61
    assert {'i2t_R@1', 't2i_R@10'} <= set(table.columns)


def test_another_selection_is_reported_beside_the_last(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path / 'out', 'last', '', 0)
    jobs = plan(spec_of(tmp_path, seeds=(0, 2)))
    files = write_report(Results(jobs, tmp_path / 'out', 'best'), tmp_path / 'out', 'best', '', 0)
    assert [file.name for file in files] == ['matrix_best.md', 'runs_best.csv', 'matrix_best.png']
    report = files[0].read_text()
    assert 'an oracle' in report and '| a | - | not run | not run |' in report
    assert '| a | 51.00 ± 1.41 | 41.00 ± 1.41 | 41.00 ± 1.41 |' in report


def test_the_image_has_a_panel_a_method(results: Results) -> None:
    image = Image.open(io.BytesIO(to_png(results)))
    assert image.width > 1.5 * image.height
    assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 50
