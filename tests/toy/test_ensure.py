"""The toy world is made once, and never by several processes at a time."""

from pathlib import Path

import pytest

from urbancross_mm.toy import ensure_sample


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
