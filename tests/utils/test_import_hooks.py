"""A function gets a module as soon as it is imported, once, and right away if it already is."""

import importlib
import sys
from pathlib import Path

import pytest

from urbancross_mm.utils.import_hooks import run_after_import


def test_before_and_after_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'late_module.py').write_text('VALUE = 1\n')
    (tmp_path / 'other_module.py').write_text('VALUE = 2\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    seen: list[tuple[str, int]] = []

    def note(module: object) -> None:
        seen.append((module.__name__, module.VALUE))

    for name in ('late_module', 'other_module', 'no_module_of_this_name'):
        run_after_import(name, note)
    assert seen == [] and 'late_module' not in sys.modules
    late = importlib.import_module('late_module')
    assert seen == [('late_module', 1)] and late.__spec__.origin.endswith('late_module.py')
    importlib.import_module('other_module')
    assert seen[1:] == [('other_module', 2)]
    run_after_import('late_module', note)
    assert seen[2:] == [('late_module', 1)]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('no_module_of_this_name')
    for name in ('late_module', 'other_module'):
        del sys.modules[name]
