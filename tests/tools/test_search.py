"""Searching by command line: galleries that are kept, and what is refused before the work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.structures import Gallery

CONFIG = CONFIGS / 'urbancross_finland_no-segments.py'
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def search(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    reset_mmengine_state()

    def call(*arguments: object) -> tuple[int, str]:
        torch.manual_seed(0)  # the weights
        return call_tool('search', CONFIG, 'none', '--sample', '--device', 'cpu', *arguments)

    return call


@pytest.fixture
def tiles(in_sample_dir: Path, tmp_path: Path) -> Path:
    folder = tmp_path / 'tiles'
    (folder / '.ipynb_checkpoints').mkdir(parents=True)
    for path in sorted(IMAGES.glob('*.jpg'))[:3]:
        shutil.copy(path, folder)
        shutil.copy(path, folder / '.ipynb_checkpoints')
    return folder


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a model would be built."""
    monkeypatch.setattr('urbancross_mm.apis.RetrievalInferencer', None)


def lines_of(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.endswith('.jpg')]


def test_a_kept_gallery_answers_as_a_fresh_one(
    search: Callable, tiles: Path, tmp_path: Path
) -> None:
    kept = ('--images', tiles, '--gallery', tmp_path / 'g', 'a road')
    code, printed = search(*kept)
    assert code == 0 and '3 hidden' in printed and len(lines_of(printed)) == 3
    before = (tmp_path / 'g').read_bytes()
    assert lines_of(search(*kept)[1]) == lines_of(printed)
    assert (tmp_path / 'g').read_bytes() == before
    first, second, _ = sorted(path.name for path in tiles.glob('*.jpg'))
    Image.open(tiles / first).transpose(Image.Transpose.ROTATE_90).save(tiles / second)
    code, printed = search(*kept)
    assert '0 of 3' in printed and ': 1 are encoded' in printed
    scores = [line.split()[1:] for line in lines_of(search('--images', tiles, 'a road')[1])]
    for (score, path), line in zip(scores, lines_of(printed), strict=True):
        assert line.split()[2] == path and abs(float(line.split()[1]) - float(score)) < 2e-4
    assert 'are encoded' not in search(*kept)[1]


def test_a_gallery_that_cannot_be_written_still_serves(
    search: Callable, tiles: Path, tmp_path: Path, monkeypatch
) -> None:
    kept = ('--images', tiles, '--gallery', tmp_path / 'g', 'a road')
    search(*kept)
    next(tiles.glob('*.jpg')).unlink()

    def closed(self: Gallery, path: str) -> None:
        raise PermissionError(13, 'Permission denied', path)

    monkeypatch.setattr(Gallery, 'save', closed)
    code, printed = search(*kept)
    assert code == 0 and str(tmp_path / 'g') in printed and len(lines_of(printed)) == 2


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['tiles/b.jpgg'], 'tiles/b.jpgg'),
        (['a road', 'no_such.jpg'], 'no_such.jpg'),
        ([''], 'query'),
        (['.'], "'.'"),
        (['a', '--topk', '0'], '--topk'),
        (['a', '--out', 'grid'], '--out grid'),
        (['a', '--out', 'grid.txt'], '--out grid.txt'),
        (['a', '--out', '{}/tiles'], '{}/tiles'),
        (['a', '--gallery', '{}/tiles'], '{}/tiles'),
        (['a', '--gallery', '{}/file/g'], '{}/file'),
        (['a', '--out', '{}/file/deep/x.png'], '{}/file'),
        (['a', '--gallery', '{}/file'], '{}/file'),
        (['a', '--images', '{}/empty'], '{}/empty'),
        (['a', '--rerank', 'multivariate'], '--query-bank'),
        (['a', '--query-bank', '{}/file'], '--rerank'),
        (['a', '--rerank', 'multivariate', '--query-bank', '{}/none.txt'], '{}/none.txt'),
    ],
)
def test_refused_before_the_work(
    search: Callable, tiles: Path, tmp_path: Path, arguments: list, named: str, no_model: None
) -> None:
    (tmp_path / 'file').write_text('x')
    (tmp_path / 'empty').mkdir()
    arguments = [argument.format(tmp_path) for argument in arguments]
    code, printed = search('--images', tiles, *arguments)
    assert code == 2 and named.format(tmp_path) in printed
    assert 'Traceback' not in printed


def test_words_that_the_vocabulary_lacks_are_named_once(search: Callable, tiles: Path) -> None:
    code, printed = search('--images', tiles, 'a road beside Zeppelins', 'zeppelins')
    said = [line for line in printed.splitlines() if "'zeppelins'" in line]
    assert code == 0 and len(said) == 1 and 'WARNING' in said[0] and "'road'" not in printed


def test_long_queries_and_more_results_than_images(
    search: Callable, tiles: Path, tmp_path: Path
) -> None:
    query = 'a river with two bridges and a road beside it, ' * 6
    code, printed = search(
        '--images', tiles, query, '--topk', '99', '--out', tmp_path / 'new/grid.png'
    )
    assert code == 0 and len(lines_of(printed)) == 3
    assert Image.open(tmp_path / 'new/grid.png').width > 300


def test_a_bank_of_queries_reorders_and_keeps_the_scores(
    search: Callable, tiles: Path, tmp_path: Path
) -> None:
    (tmp_path / 'bank.txt').write_text('a lake\na forest\na harbor with boats\n')
    call = ('--images', tiles, 'a road')
    bank = ('--rerank', 'inverted_softmax', '--query-bank', tmp_path / 'bank.txt')
    code, printed = search(*call, *bank)
    assert code == 0 and 'inverted_softmax' in printed and '3 queries' in printed
    plain, reranked = (
        {line.split()[2]: line.split()[1] for line in lines_of(text)}
        for text in (search(*call)[1], printed)
    )
    assert plain == reranked


def test_a_spoken_query(
    call_tool: Callable[..., tuple[int, str]], search: Callable, tiles: Path, tmp_path: Path
) -> None:
    """The same file is a photo, or with ``--audio`` the image of a sound."""
    sound, grid = 'data/sample/rsitmd/audio/0.jpg', tmp_path / 'grid.png'
    reset_mmengine_state()
    listening = ('search', CONFIGS / 'mcrn/mcrn.py', 'none', '--sample', '--device', 'cpu')
    torch.manual_seed(0)
    spoken = ('--images', tiles, '--audio', sound, '--out', grid)
    code, printed = call_tool(*listening, *spoken)
    assert code == 0 and len(lines_of(printed)) == 4 and grid.is_file()
    torch.manual_seed(0)
    _, seen = call_tool(*listening, '--images', tiles, sound)
    scores = [[line.split()[1] for line in lines_of(text)[1:]] for text in (printed, seen)]
    assert scores[0] != scores[1]
    code, printed = search('--images', tiles, '--audio', 'a road')
    assert code and 'no file a road' in printed
