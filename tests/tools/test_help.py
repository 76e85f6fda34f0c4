"""``--help`` of every tool answers before the libraries load; ``urbancross`` knows every tool."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT
from urbancross_mm.utils import console

TOOLS = sorted(p.relative_to(ROOT / 'tools').as_posix() for p in (ROOT / 'tools').rglob('*.py'))
HEAVY = ('torch', 'mmengine.runner', 'mmpretrain', 'transformers', 'pandas', 'cv2')
ASK_ALL = f"""
import contextlib, io, json, runpy, sys
answers = dict()
for tool in {TOOLS!r}:
    sys.argv, printed, before = [tool, '--help'], io.StringIO(), set(sys.modules)
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        runpy.run_path({str(ROOT / 'tools')!r} + '/' + tool, run_name='__main__')
    new = set(sys.modules) - before
    answers[tool] = printed.getvalue(), [name for name in {HEAVY!r} if name in new]
print(json.dumps(answers))
"""


@pytest.fixture(scope='module')
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str]]]:
    """Help text of each tool and what was imported by then, from a clone outside its folder."""
    environment = {name: v for name, v in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, '-c', ASK_ALL],
        cwd=tmp_path_factory.mktemp('elsewhere'),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize('tool', TOOLS)
def test_help_comes_without_the_libraries(
    tool: str, answers: dict[str, tuple[str, list[str]]]
) -> None:
    text, heavy = answers[tool]
    assert text.startswith('usage: ') and '--help' in text
    assert heavy == []


@pytest.mark.parametrize('tool', TOOLS)
def test_every_option_has_a_help_text(tool: str, answers: dict[str, tuple[str, list[str]]]) -> None:
    lines = answers[tool][0].splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith('options:'))
    options = [n for n in range(start, len(lines)) if lines[n].startswith('  -')]
    # A text stands behind the option or begins on the next line, further to the right.
    bare = [
        lines[n].strip()
        for n in options
        if '  ' not in lines[n].strip() and not (lines + [''])[n + 1].startswith('          ')
    ]
    assert not bare


def call(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> tuple[int, str]:
    monkeypatch.setattr(sys, 'argv', ['/somewhere/bin/urbancross', *words])
    monkeypatch.setattr(sys, 'path', list(sys.path))
    try:
        console.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_the_command_knows_every_tool() -> None:
    assert sorted(console.COMMANDS.values()) == TOOLS


@pytest.mark.parametrize('words', [[], ['--help'], ['-h']])
def test_the_overview_has_one_line_per_command(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, text = call(words, monkeypatch, capsys)
    lines = text.splitlines()[2:]
    assert code == 0 and len(lines) == len(console.COMMANDS)
    for name, line in zip(console.COMMANDS, lines):
        assert line.split('  ')[1] == name and len(line.split('  ')[-1]) > 10


@pytest.mark.parametrize('words', [['convert'], ['convert', '--help']])
def test_the_overview_of_a_group(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, text = call(words, monkeypatch, capsys)
    assert code == 0 and 'convert precomp' in text and 'train' not in text.split('\n', 2)[2].split()


def test_a_tool_by_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, text = call(['convert', 'precomp', '--help'], monkeypatch, capsys)
    assert code == 0 and text.startswith('usage: urbancross convert precomp ')
    code, text = call(['average', 'nothing.json'], monkeypatch, capsys)
    assert code == 2 and text.startswith('error: ') and 'nothing.json' in text


@pytest.mark.parametrize(
    ('words', 'close'),
    [(['trian'], 'train'), (['convert', 'precmp', 'x'], 'convert precomp'), (['--x'], '')],
)
def test_an_unknown_command_is_refused(
    words: list[str], close: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, text = call(words, monkeypatch, capsys)
    assert code == 2 and text.startswith('error: ') and words[0] in text and close in text


def test_a_clone_that_was_never_installed_has_its_tools_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / 'clone/urbancross_mm/utils/console.py'
    monkeypatch.setattr(console, '__file__', str(module))
    assert console.tools_folder() == tmp_path / 'clone/tools'
    (tmp_path / 'clone/urbancross_mm/.mim/tools').mkdir(parents=True)
    assert console.tools_folder() == tmp_path / 'clone/urbancross_mm/.mim/tools'
