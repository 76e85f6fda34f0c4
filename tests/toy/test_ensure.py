"""The toy world is made once, and never by several processes at a time."""

import json
from pathlib import Path

import pytest

from urbancross_mm.toy import ensure_sample
from urbancross_mm.toy.world.make import VERSION


def test_a_finished_sample_is_left_alone(in_sample_dir: Path) -> None:
    root = in_sample_dir / 'data' / 'sample'
    before = {p: p.stat().st_mtime_ns for p in root.glob('*')}
    ensure_sample(root)
    assert {p: p.stat().st_mtime_ns for p in root.glob('*')} == before


def test_several_processes_must_make_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(FileNotFoundError, match='make_sample.py --root'):
        ensure_sample(tmp_path / 'nothing')
    assert not (tmp_path / 'nothing').exists()


def test_a_toy_world_of_another_version_is_noted(
    in_sample_dir: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_sample_dir / 'data' / 'sample'
    ensure_sample(source)
    assert capsys.readouterr().err == ''
    monkeypatch.setattr('urbancross_mm.toy.convert.is_converted', lambda root: True)
    for text, version in (('{"version": 1}', 'version 1'), ('{}', 'version None')):
        (tmp_path / 'sample.json').write_text(text)
        ensure_sample(tmp_path)
        assert version in capsys.readouterr().err
    for text in ('{', '[]'):
        (tmp_path / 'sample.json').write_text(text)
        with pytest.raises(ValueError, match='sample.json '):
            ensure_sample(tmp_path)


def test_a_toy_world_of_another_version_that_lacks_something_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the numbers that it was drawn with; one of this version is only converted."""
    calls: list[tuple] = []
    monkeypatch.setattr(
        'urbancross_mm.toy.world.make_sample', lambda root, **how: calls.append(('draw', how))
    )
    monkeypatch.setattr(
        'urbancross_mm.toy.convert.convert_sample', lambda root: calls.append(('convert', {}))
    )
    arguments = dict(images=dict(ucm=20), seed=3, image_size=64)
    for version in (2, VERSION):
        (tmp_path / 'sample.json').write_text(json.dumps(dict(arguments, version=version)))
        ensure_sample(tmp_path)
    assert calls == [('draw', dict(arguments, force=True)), ('convert', {}), ('convert', {})]
