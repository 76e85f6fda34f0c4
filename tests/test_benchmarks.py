"""The ranking and evaluation benchmarks run, and what they compare agrees."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.postgres import why_no_postgres

FOLDER = Path(__file__).resolve().parents[1] / 'benchmarks'


def run(
    script: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, 'argv', [script, *arguments, '--repeats', '1'])
    runpy.run_path(str(FOLDER / script), run_name='__main__')
    return capsys.readouterr().out


def test_ranking(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ['--images', '60', '--small', '30', '--width', '8', '--chunk-size', '16']
    text = run('ranking.py', sizes, monkeypatch, capsys)
    assert '60 images x 300 captions x 8' in text
    assert 'largest difference in R@K: 0.0000' in text
    assert all(name in text for name in ('bare matrix', 'functional.ranking', 'RetrievalRecall'))


def test_encode_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = run('encode_once.py', ['--pairs', '40', '--batch', '16'], monkeypatch, capsys)
    assert 'largest difference in R@K 0.0000' in text
    assert '| encode once |' in text and '| encode every shard |' in text


def test_adaptation_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    text = run('adaptation_step.py', ['--pixels', '32', '--channels', '4'], monkeypatch, capsys)
    assert '| plain step |' in text and '| frozen selector, images kept |' in text


def test_sirs_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    text = run('sirs_step.py', ['--pixels', '64', '--channels', '8'], monkeypatch, capsys)
    rows = [line.split(' | ') for line in text.splitlines() if line.startswith('| ')][2:]
    assert len(rows) == 8
    for row in rows:
        built, trained = (cell.strip(' |') for cell in row[-2:])
        assert built == trained and built.endswith('M')


def test_loader(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = run('loader.py', ['--sizes', '460', '--count', '1'], monkeypatch, capsys)
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines()]
    errors = {row[1]: row[-1] for row in rows if row and row[0] == '460 px'}
    assert len(errors) == 7
    # The pixels of Pillow, and of open_clip to a rounding; a smaller decode is another image.
    assert errors['ours'] == errors['ours, Pillow alone'] == errors['ours, draft=448'] == '0, 0.00'
    assert (
        int(errors['open_clip'].split(',')[0]) <= 2 < int(errors['ours, draft=224'].split(',')[0])
    )


def test_gpu_training_says_that_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, 'argv', ['gpu_training.py'])
    runpy.run_path(str(FOLDER / 'gpu_training.py'), run_name='__main__')
    printed = capsys.readouterr().out
    assert printed.startswith('no GPU: ') and printed.count('\n') == 1


def test_stores(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    sizes = ['--rows', '400', '--width', '16', '--queries', '3', '--clients', '2']
    monkeypatch.setattr(sys, 'argv', ['stores.py', *sizes])
    runpy.run_path(str(FOLDER / 'stores.py'), run_name='__main__')
    text = capsys.readouterr().out
    names = ['TorchStore', 'LanceStore'] + ['PostgresStore'] * (not why_no_postgres())
    for name in names:
        built, searched = [line for line in text.splitlines() if line.startswith(f'| {name} |')]
        assert searched.count('(1.000)') == 7  # below the index all are exact
        assert ' a second, p95 ' in built


def test_timing_takes_turns_and_counts_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import mmap

    monkeypatch.syspath_prepend(str(FOLDER))
    import timing

    calls = []
    results = timing.compare(
        {'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, repeats=2
    )
    assert calls == list('ababab')
    assert [result.name for result in results] == ['a', 'b'] and results[0].ratio == 1.0
    # Fresh pages: an allocator could hand out what the process holds already.
    peak = timing.peak_memory(lambda: mmap.mmap(-1, 2**25).write(bytes(2**25)))
    assert peak is None or 24 < peak < 96


def test_curation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(
        sys, 'argv', ['curation.py', '--images', '12', '--size', '64', '--no-scorer']
    )
    runpy.run_path(str(FOLDER / 'curation.py'), run_name='__main__')
    text = capsys.readouterr().out
    assert all(f'| {stage} |' in text for stage in ('tile', 'tag', 'segment', 'export'))
    ratio = float(text.split('| run-length masks |')[1].split('|')[1])
    assert 0 < ratio < 1


def test_audio_pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ['--recordings', '2', '--seconds', '0.2', '--frames', '32']
    text = run('audio_pipeline.py', sizes, monkeypatch, capsys)
    rows = [line.split(' | ') for line in text.splitlines() if line.startswith('| ')][2:]
    assert len(rows) == 6 and all(float(row[-1].strip(' |').replace(',', '')) > 0 for row in rows)
    assert '| loading, WAV, 44.1 kHz, stereo |' in text


def test_config_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    sizes = ['--device', 'cpu', '--sample', '--batch', '2', 'tpt']
    text = run('config_step.py', sizes, monkeypatch, capsys)
    rows = [line for line in text.splitlines() if line.startswith('| MCRN')]
    assert [row.split(' | ')[1:3] for row in rows] == [['fp32', '2'], ['bf16', '2']]
    assert all(int(row.split(' | ')[3]) > 0 for row in rows)


def test_adaptation_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gains that follow one measure are found, and runs of other content are named."""
    names = [f'{name}_{when}' for name in ('agreement', 'hubness', 'followed', 'score')
             for when in ('before', 'after')]  # fmt: skip
    lines = [['pair', 'run', *names, 'images', 'texts', 'steps', 'stability', 'text_within',
              'recall_before', 'recall_after']]  # fmt: skip
    for number in range(24):
        stable, matches = number % 6 / 5, number % 6 > 1
        case = 'good' if matches else 'other classes'
        lines.append([f'pair{number % 4}', f'"{case}, plan"', *[1] * 8, 300, 300, 240, stable,
                      0.3 if matches else 0.1, 10, 10 + 4 * stable])  # fmt: skip
    table = tmp_path / 'runs.csv'
    table.write_text('\n'.join(','.join(map(str, line)) for line in lines))
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, 'argv', ['_', 'fit', str(table), '--inputs', 'stability'])
    runpy.run_path(str(FOLDER / 'adaptation_trust.py'), run_name='__main__')
    text = capsys.readouterr().out
    assert '| other classes | 8 |' in text and '8 content does not match' in text
    assert 'least_within=0.3, runs=24, pairs=4' in text
    assert float(text.partition('true gain ')[2].split()[0]) > 0.9


def test_linear_heads_adapt(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import torch

    monkeypatch.syspath_prepend(str(FOLDER))
    import linear_heads

    from urbancross_mm.functional.pairing_plan import Target
    from urbancross_mm.inference.trust.target_view import view

    generator = torch.Generator().manual_seed(0)
    ways = [torch.randn(6, size, generator=generator) for size in (20, 16)]
    of = torch.arange(6).repeat(20)
    images, texts = (
        way[of] + 0.3 * torch.randn(120, way.shape[1], generator=generator) for way in ways
    )
    domain = linear_heads.Domain(
        images, [[n] for n in range(120)], np.array([str(c) for c in of.tolist()]), texts
    )
    assert len(domain.of({'0', '1'}).images) == 40
    start = linear_heads.train_source(domain, 0, epochs=1)
    with torch.no_grad():
        embeds = start(images, texts)
    found = view(Target(*embeds, images, texts, torch.ones(120)))
    trained = linear_heads.train_source(domain, 0)
    for method in ('plan', 'live', 'pseudo'):
        adapted = linear_heads.adapt(start, domain, found, method, 40, 3e-3, 0)
        assert linear_heads.mean_recall(adapted, domain) > linear_heads.mean_recall(start, domain)
    assert linear_heads.mean_recall(trained, domain) > 2 * 100 * 16 / 6 / 120


def test_localization(
    in_sample_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(FOLDER.parent / 'configs/urbancross_finland_no-segments.py')
    sizes = ['--sample', '--scenes', '3', '--pixels', '64', '--scales', '32', '64']
    text = run('localization.py', [config, 'none', *sizes, '--device', 'cpu'], monkeypatch, capsys)
    rows = {
        cells[0].strip('| '): cells[1:]
        for cells in (line.split(' | ') for line in text.splitlines() if line.startswith('| '))
    }
    assert all(0 < float(rows[mode][0]) < 1 for mode in ('windows', 'coarse-to-fine', 'dense'))
    once, later = (int(rows['windows'][column]) for column in (5, 6))
    assert once == 11**2 + 5**2 and later == 0
    assert int(rows['coarse-to-fine'][5]) == 9 and int(rows['coarse-to-fine'][6]) > 0


def test_mosaic_localization(
    in_sample_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Tiles of one color each, and a model that sees colors: every first tile is a right one."""
    from types import SimpleNamespace

    import numpy as np
    from PIL import Image

    from tests.inference.localization.fakes import COLORS, ColorEmbedder
    from urbancross_mm.inference import embedder

    for name, color in dict(COLORS, gray=(0.5, 0.5, 0.5)).items():
        (tmp_path / 'images' / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((20, 20, 3), 255 * np.array(color), np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'images' / name / f'{number}.png')
    fake = SimpleNamespace(from_config=lambda *args, **kwargs: ColorEmbedder())
    monkeypatch.setattr(embedder, 'Embedder', fake)
    monkeypatch.setattr('urbancross_mm.apis.load_config', lambda *args, **kwargs: None)
    monkeypatch.syspath_prepend(str(FOLDER))
    sizes = [
        '--side',
        '256',
        '--tile',
        '32',
        '--scales',
        '32',
        '64',
        '--rare',
        '1',
        '--rounds',
        '1',
    ]
    options = ['--template', '{}', '--seed', '3', '--modes', 'windows', 'coarse-to-fine']
    argv = ['_', 'config', 'none', str(tmp_path / 'images'), *sizes, *options]
    monkeypatch.setattr(sys, 'argv', argv)
    runpy.run_path(str(FOLDER / 'mosaic_localization.py'), run_name='__main__')
    text = capsys.readouterr().out
    assert '64 tiles of 32 pixels, 1 classes of 2 tiles each' in text and '(chance 22)' in text
    for mode in ('windows', 'coarse-to-fine'):
        rank, area = text.split(f'| {mode} | ')[1].split(' | ')[:2]
        assert float(rank) == 1 and float(area) > 0.9


def test_outline_localization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red squares with outlines around them, and a model that sees colors."""
    import json
    from types import SimpleNamespace

    from rasterio.warp import transform_geom

    from tests.curation.stages.test_tile_stage import ORIGIN, UTM
    from tests.inference.localization.fakes import ColorEmbedder, raster, spots
    from urbancross_mm.inference import embedder

    tif = raster(tmp_path / 'a.tif', spots(250, 300, (40, 200, 'red'), (180, 60, 'red')))
    features = []
    for row, column in ((40, 200), (180, 60)):
        west, north = ORIGIN[0] + column / 2, ORIGIN[1] - row / 2
        ring = [(west + x, north - y) for x, y in ((0, 0), (16, 0), (16, 16), (0, 16), (0, 0))]
        outline = transform_geom(UTM, 'EPSG:4326', dict(type='Polygon', coordinates=[ring]))
        features.append(dict(type='Feature', geometry=dict(outline)))
    features.append(dict(type='Feature', geometry=dict(type='Point', coordinates=(0, 0))))
    (tmp_path / 'outlines.geojson').write_text(json.dumps(dict(features=features)))
    fake = SimpleNamespace(from_config=lambda *args, **kwargs: ColorEmbedder())
    monkeypatch.setattr(embedder, 'Embedder', fake)
    monkeypatch.setattr('urbancross_mm.apis.load_config', lambda *args, **kwargs: None)
    monkeypatch.syspath_prepend(str(FOLDER))
    options = ['--outlines', str(tmp_path / 'outlines.geojson'), '--query', 'red']
    argv = ['_', 'config', 'none', str(tif), *options, '--scales', '32', '--modes', 'windows']
    monkeypatch.setattr(sys, 'argv', argv)
    runpy.run_path(str(FOLDER / 'outline_localization.py'), run_name='__main__')
    text = capsys.readouterr().out
    assert float(text.split('| windows | ')[1].split(' | ')[0]) > 0.97


def test_encoders(
    in_sample_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    indices = [f'{phase}_dataloader.dataset.indices=8' for phase in ('train', 'val', 'test')]
    options = ['train_dataloader.batch_size=4', 'train_dataloader.num_workers=0', *indices]
    argv = ['_', 'atto', '--epochs', '1', '--seeds', '0', '1', '--cfg-options', *options]
    monkeypatch.setattr(sys, 'argv', argv)
    runpy.run_path(str(FOLDER / 'encoders.py'), run_name='__main__')
    (row,) = [line for line in capsys.readouterr().out.splitlines() if 'ConvNeXt' in line]
    name, weights, size, seconds, recall = (cell.strip() for cell in row.strip('|').split('|'))
    assert (name, weights) == ('mmpretrain ConvNeXt-atto', 'scratch') and 3 < float(size) < 4
    assert int(seconds) > 0 and 0 < float(recall.partition(' ± ')[0]) <= 100
