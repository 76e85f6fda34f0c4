"""The sample is made once, and never by several processes at a time."""

from pathlib import Path

import pytest

from urbancross_mm.apis import ensure_sample


def test_a_finished_sample_is_left_alone(in_sample_dir: Path) -> None:
    root = in_sample_dir / 'data' / 'sample'
    before = {p: p.stat().st_mtime_ns for p in root.glob('*')}
    ensure_sample(root)
    assert {p: p.stat().st_mtime_ns for p in root.glob('*')} == before


def test_several_processes_are_told_to_make_it_first(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(FileNotFoundError, match='make_sample.py --root'):
        ensure_sample(tmp_path / 'nothing')
    assert not (tmp_path / 'nothing').exists()
