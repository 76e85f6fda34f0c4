"""Running tools in this process, which spares their imports."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.runs import ROOT


@pytest.fixture
def load_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a tool by its path below ``tools``."""

    def load(name: str) -> ModuleType:
        # A tool puts the clone on the path; afterwards the path is what it was.
        monkeypatch.setattr(sys, 'path', list(sys.path))
        path = ROOT / 'tools' / f'{name}.py'
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def call_tool(
    load_tool: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> Callable[..., tuple[int, str]]:
    """Run a tool with arguments: exit code and what it printed."""

    def call(name: str, *arguments: object) -> tuple[int, str]:
        module = load_tool(name)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            module.run_tool(module.main)
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out + printed.err

    return call
