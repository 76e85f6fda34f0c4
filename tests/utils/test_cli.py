"""What a tool leaves behind when it cannot go on."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import Registry

from urbancross_mm.utils.cli import ConfigParser, given_path, run_tool

PARTS = Registry('part')


@PARTS.register_module()
class Part:
    def __init__(self, size: int) -> None:
        self.size = len(size)  # a mistake of ours, if size is a number


def end_of(main) -> int:
    with pytest.raises(SystemExit) as end:
        run_tool(main)
    return end.value.code


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [(dict(sise=3), "unexpected keyword argument 'sise'"), ({}, 'missing 1 required')],
)
def test_wrong_arguments_in_a_config_are_a_sentence(
    options: dict, sentence: str, capsys: pytest.CaptureFixture
) -> None:
    assert end_of(lambda: PARTS.build(dict(type='Part', **options))) == 2
    assert sentence in capsys.readouterr().err


def test_a_mistake_of_ours_is_named_and_its_traceback_can_be_had(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake() -> None:
        PARTS.build(dict(type='Part', size=3))

    assert end_of(mistake) == 2
    assert capsys.readouterr().err == (
        "error: Part(size=3) cannot be built: TypeError: object of type 'int' has no len() "
        '(URBANCROSS_TRACEBACK=1 shows where)\n'
    )
    monkeypatch.setenv('URBANCROSS_TRACEBACK', '1')
    with pytest.raises(TypeError, match='has no len'):
        run_tool(mistake)


@pytest.mark.parametrize(
    ('work', 'reader', 'code'),
    [
        ('print("line")', 'head -1', '0'),
        ('[print("line", flush=True) for _ in range(99999)]', 'head -1', '141'),
        ('(print("line", flush=True), foreign())', 'cat', '2'),
    ],
)
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_a_reader_that_stops(work: str, reader: str, code: str, unbuffered: str) -> None:
    script = (
        'import os\n'
        'from urbancross_mm.utils.cli import run_tool\n'
        'def foreign():\n'
        '    mine, other = os.pipe()\n'
        '    os.close(mine)\n'
        '    os.write(other, b"x")\n'
        f'run_tool(lambda: ({work}, None)[1])'
    )
    run = subprocess.run(
        f"{sys.executable} -c '{script}' | {reader}; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable='/bin/bash',
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONUNBUFFERED=unbuffered),
    )
    assert run.stdout.split() == ['line', code]
    assert ('error: ' in run.stderr) == (code == '2') and 'Traceback' not in run.stderr


def test_an_empty_path_is_not_the_current_folder() -> None:
    assert given_path('a/b') == Path('a/b')
    with pytest.raises(argparse.ArgumentTypeError, match='the path is empty'):
        given_path('')


def test_a_setting_without_its_flag_gets_the_flag(capsys: pytest.CaptureFixture) -> None:
    parser = ConfigParser()
    for typed in (['TARGET=spain', 'a.b=[1]'], ['word', 'TARGET=spain', '--c=d']):
        with pytest.raises(SystemExit):
            parser.parse_args(typed)
    first, second = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert '--cfg-options TARGET=spain a.b=[1])' in first
    assert '--cfg-options TARGET=spain)' in second
    with pytest.raises(SystemExit):
        parser.parse_args(['word', '--out=x'])
    assert '--cfg-options' not in capsys.readouterr().err


@pytest.mark.parametrize(('package', 'shown'), [('mmcv', False), ('urbancross_mm', True)])
@pytest.mark.parametrize('flags', [[], ['-W', 'default']])
def test_only_warnings_of_others_are_left_out(package: str, shown: bool, flags: list[str]) -> None:
    script = (
        'import warnings\n'
        'from urbancross_mm.utils.cli import run_tool\n'
        'def warn():\n'
        f'    warnings.warn_explicit("mind this", UserWarning, "x.py", 1, "{package}.cnn")\n'
        'run_tool(warn)'
    )
    run = subprocess.run([sys.executable, *flags, '-c', script], capture_output=True, text=True)
    assert ('mind this' in run.stderr) == (shown or flags != [])
