"""Exporting a config from the command line."""

import json
from collections.abc import Callable
from pathlib import Path


def test_a_config_of_the_sample(
    call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'exported'
    arguments = ('urbancross_rsicd_no-segments.py', '--sample', '--out', out, '--formats', 'torch')
    code, said = call_tool('misc/export_model', *arguments)
    assert code == 0, said
    about = json.loads((out / 'model.json').read_text())
    for modality in ('image', 'text'):
        path = out / about[modality]['files']['torch']
        assert path.is_file() and str(path) in said
    assert said.count('differs by at most') == 2 and 'any number of rows' in said
    code, said = call_tool('misc/export_model', *arguments)
    assert code and str(out) in said and '--force' in said
