"""The dataset card as a command."""

from pathlib import Path

import pytest

from tests.curation.curated import curate, make_images


@pytest.fixture
def data(tmp_path: Path) -> Path:
    curate(tmp_path / 'data', make_images(tmp_path / 'data', 12), dict(block_meters=0))
    return tmp_path / 'data'


def test_card_by_command(call_tool, data: Path, tmp_path: Path) -> None:
    code, text = call_tool(
        'misc/dataset_card', data, '--out', tmp_path / 'card.html', '--samples', 2
    )
    assert code == 0 and '5 annotation files of mycity' in text
    page = (tmp_path / 'card.html').read_text(encoding='utf-8')
    assert page.startswith('<!DOCTYPE html>') and 'Samples of test' in page
    # The same from annotation files; the folder of the data lies above them.
    files = [
        data / f'annotations/mycity_{split}.json'
        for split in ('train', 'val', 'test', 'finetune', 'finetune_val')
    ]
    code, _ = call_tool(
        'misc/dataset_card', *files, '--out', tmp_path / 'again.html', '--samples', 2
    )
    assert code == 0 and (tmp_path / 'again.html').read_text(encoding='utf-8') == page
    code, text = call_tool(
        'misc/dataset_card',
        files[2],
        '--out',
        tmp_path / 'card.md',
        '--samples',
        1,
        '--no-pixels',
        '--format',
        'md',
    )
    assert code == 0 and 'images beside it' in text and (tmp_path / 'card_map.png').is_file()


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['nowhere', '--out', 'card.html'], 'nowhere'),
        (['.', '--out', 'card.html'], 'annotations'),
        (['DATA', '--out', 'card.html', '--manifest', 'none'], 'none'),
        (['DATA', '--out', 'card.html', '--images', 'pixels'], 'pixels'),
        (['DATA', '--out', 'card.txt'], 'card.txt'),
    ],
)
def test_mistakes_are_named(
    call_tool, data: Path, arguments: list[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    code, text = call_tool(
        'misc/dataset_card', *[str(data) if value == 'DATA' else value for value in arguments]
    )
    assert code == 2 and named in text and 'Traceback' not in text
    assert not list(data.parent.glob('card*'))
