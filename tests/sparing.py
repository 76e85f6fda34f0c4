"""What mmengine does again in every run and no test of ours looks at, done once or not at all."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import pickle
import time
from copy import deepcopy
from types import ModuleType, SimpleNamespace
from typing import Any

from urbancross_mm.inference.overlay import apply_overlay


def spare_runs() -> None:
    """A run of two iterations spends most of its time on these."""
    import mmengine.dataset.base_dataset
    import mmengine.runner.runner

    import urbancross_mm.inference.config as reading

    import_formatter().FormatCode = parsed
    # Every dataset would look through all that was ever imported.
    mmengine.dataset.base_dataset.gc = SimpleNamespace(collect=lambda: None)
    # Compilers and devices are asked for their versions by processes.
    collect = mmengine.runner.runner.collect_env
    if not hasattr(collect, 'cache_info'):
        mmengine.runner.runner.collect_env = functools.cache(collect)
    # The sample's real encoder trains in tests/tools/test_train_test_search.py.
    reading.apply_overlay = narrow_overlay


def import_formatter() -> ModuleType:
    """yapf caches its grammar at its first import; another worker may read half of that file."""
    for _ in range(50):
        with contextlib.suppress(EOFError, pickle.UnpicklingError):
            return importlib.import_module('yapf.yapflib.yapf_api')
        time.sleep(0.2)
    return importlib.import_module('yapf.yapflib.yapf_api')


def parsed(text: str, **settings: object) -> tuple[str, bool]:
    """In place of yapf: a config that a run writes down is Python, prettily laid out or not."""
    ast.parse(text)
    return text, False


def narrow_overlay(cfg: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """``--sample`` with an image encoder of a quarter of the channels."""
    overlay = deepcopy(overlay)
    for encoder in overlay['replace'].values():
        if encoder['type'] == 'BackboneEncoder':
            encoder['backbone'].update(base_channels=8, stem_channels=8)
            encoder['in_channels'] = 64
    return apply_overlay(cfg, overlay)
