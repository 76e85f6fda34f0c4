"""What a tool leaves behind when it cannot go on."""

import subprocess
import sys

import pytest
from mmengine.registry import Registry

from urbancross_mm.utils.cli import run_tool

PARTS = Registry('part')


@PARTS.register_module()
class Part:
    def __init__(self, size: int) -> None:
        self.size = len(size)  # a mistake of ours, if size is a number


def end_of(main) -> int:
    with pytest.raises(SystemExit) as end:
        run_tool(main)
    return end.value.code


@pytest.mark.parametrize(('options', 'sentence'), [
    (dict(sise=3), "unexpected keyword argument 'sise'"), ({}, "missing 1 required")])
def test_wrong_arguments_in_a_config_are_a_sentence(options: dict, sentence: str,
                                                    capsys: pytest.CaptureFixture) -> None:
    assert end_of(lambda: PARTS.build(dict(type='Part', **options))) == 2
    assert sentence in capsys.readouterr().err


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(TypeError, match='has no len'):
        run_tool(lambda: PARTS.build(dict(type='Part', size=3)))


def test_a_reader_that_stops_is_no_error() -> None:
    code = ('from urbancross_mm.utils.cli import run_tool\n'
            'run_tool(lambda: print("line\\n" * 100_000))')
    run = subprocess.run(f'{sys.executable} -c \'{code}\' | head -1; echo ${{PIPESTATUS[0]}}',
                         shell=True, executable='/bin/bash', capture_output=True, text=True)
    assert run.stdout.split() == ['line', '0'] and not run.stderr
