"""Mean and deviation over runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_average_folds(
    call_tool: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, value in enumerate((1.0, 3.0)):
        Path(f'{number}.json').write_text(json.dumps({'retrieval/mR': value}))
    tool = 'analysis_tools/average_folds'
    code, text = call_tool(tool, '0.json', '1.json', '--out', 'folds.md')
    assert code == 0 and '| retrieval/mR | 2.00 | 1.41 | 1.00 | 3.00 |' in text
    assert Path('folds.md').read_text() == text
    call_tool(tool, '0.json', '1.json', '--out', 'folds.csv')
    assert Path('folds.csv').read_text().splitlines()[1].startswith('retrieval/mR,2.0,1.414')


@pytest.mark.parametrize(
    'content', ['[', '[1]', '{"retrieval/mR": "high"}', '{"other": 1.0}'], ids=repr
)
def test_a_file_of_something_else_is_named(
    content: str,
    call_tool: Callable[..., tuple[int, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('0.json').write_text('{"retrieval/mR": 1.0}')
    Path('2.json').write_text(content)
    code, text = call_tool('analysis_tools/average_folds', '0.json', '2.json')
    assert code == 2 and text.startswith('error: ')
    assert ('other' if 'other' in content else '2.json') in text
