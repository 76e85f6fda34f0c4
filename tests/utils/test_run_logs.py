"""Validations from the log of a real run."""

from pathlib import Path

import pytest

from tests.runs import run, small_config
from urbancross_mm.utils.run_logs import read_validations


def test_what_a_run_has_logged(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path)
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    runner = run(cfg)
    validations = read_validations(tmp_path)
    scores = runner.message_hub.log_scalars['val/retrieval/mR']
    assert list(validations) == [1, 2]
    assert validations[2]['retrieval/mR'] == scores.current()
    assert all(name.startswith('retrieval/') for name in validations[1])
    assert read_validations(tmp_path, 'label_free/') == {}


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_validations(tmp_path)
