"""Mean and deviation over runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

TOOL = 'analysis_tools/average_folds'


def test_average_folds(
    call_tool: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, value in enumerate((1.0, 3.0)):
        metrics = {'retrieval/mR': value, 'segmentation/mIoU': 10 * value}
        Path(f'{number}.json').write_text(json.dumps(metrics))
    code, text = call_tool(TOOL, '0.json', '1.json', '--out', 'folds.md')
    assert code == 0 and '| retrieval/mR | 2.00 | 1.41 | 1.00 | 3.00 |' in text
    assert '| segmentation/mIoU | 20.00 | 14.14 | 10.00 | 30.00 |' in text
    assert Path('folds.md').read_text() == text
    call_tool(TOOL, '0.json', '1.json', '--out', 'folds.csv')
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
    code, text = call_tool(TOOL, '0.json', '2.json')
    assert code == 2 and text.startswith('error: ')
    assert ('other' if 'other' in content else '2.json') in text


def write_log(work_dir: Path, start: str, **epochs: dict) -> None:
    log = work_dir / start / 'vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    records = [dict(loss=1.0, epoch=1, iter=7, step=7)]
    records += [dict(metrics, time=0.1, step=int(key[1:])) for key, metrics in epochs.items()]
    log.write_text('\n'.join(map(json.dumps, records)) + '\n')


def test_the_last_validations_of_each_run(
    call_tool: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    def both(value: float) -> dict[str, float]:
        return {'retrieval/mR': value, 'segmentation/mIoU': 2 * value}

    write_log(tmp_path / 'a', '1', e1=both(100), e2=both(1), e3=both(9))
    write_log(tmp_path / 'a', '2', e3=both(3))  # resumed: the epoch is run again
    write_log(tmp_path / 'b', '1', e1=both(7), e2=both(5))
    folders = tmp_path / 'a', tmp_path / 'b'
    code, text = call_tool(TOOL, *folders, '--last', 2)
    assert code == 0 and '| retrieval/mR | 4.00 | 2.83 | 2.00 | 6.00 |' in text
    assert '| segmentation/mIoU | 8.00 | 5.66 | 4.00 | 12.00 |' in text and 'time' not in text
    code, text = call_tool(TOOL, *folders, '--last', 3)
    assert code == 2 and 'b has 2 validations' in text
    code, text = call_tool(TOOL, *folders)
    assert code == 2 and '--last' in text
    write_log(tmp_path / 'c', '1', e1={'retrieval/mR': 1.0}, e2=both(5))
    code, text = call_tool(TOOL, tmp_path / 'c', '--last', 2)
    assert code == 2 and 'segmentation/mIoU' in text
    assert call_tool(TOOL, *folders, '--last', 0)[0] == 2
