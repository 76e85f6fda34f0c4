"""The tool that speaks captions, from the command line."""

from __future__ import annotations

import shutil

import pytest

from tests.datasets.tiny import item, write
from urbancross_mm.utils.audio import read_audio

needs_espeak = pytest.mark.skipif(
    shutil.which('espeak-ng') is None, reason='needs the program espeak-ng'
)


@needs_espeak
def test_from_the_command_line(call_tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, [item('a', ['a red roof', 'a road'])], split='test')
    arguments = ('annotations/tiny.json', '--out', 'audio', '--test-voices', 'en-gb')
    code, text = call_tool('misc/speak_captions', *arguments)
    assert code == 0 and '2 captions, 2 spoken' in text
    samples, seconds = read_audio('audio/a_1.flac')
    assert 0.5 < seconds < 5 and samples.any()
    code, text = call_tool('misc/speak_captions', *arguments, '--voices', 'en-gb')
    assert code == 0 and '2 kept' in text and '1 voices are for training and for the test' in text
    monkeypatch.setenv('PATH', '/nowhere')
    code, text = call_tool('misc/speak_captions', *arguments)
    assert code == 2 and text.count('\n') == 1 and 'apt install espeak-ng' in text
