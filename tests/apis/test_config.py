"""The sample overlay turns any recipe into a small one, and nothing else."""

from pathlib import Path

import pytest

from urbancross_mm.apis.config import apply_overlay, load_config


def test_overlay_rules() -> None:
    recipe = dict(
        model=dict(type='A', encoder=dict(type='Big', width=9), others=[dict(type='Big')]),
        data=dict(type='Set', data_root='data/x', keep=1),
        elsewhere=dict(type='Set', data_root='/mnt/data/x'),
        epochs=100)
    overlay = dict(
        data_root=('data/', 'data/sample/'), replace=dict(Big=dict(type='Small')),
        update=dict(Set=dict(extra=2), A=dict(encoder=dict(depth=1))), merge=dict(epochs=2))
    small = apply_overlay(recipe, overlay)
    assert small['model']['encoder'] == dict(type='Small', depth=1)
    assert small['model']['others'] == [dict(type='Small')]
    assert small['data'] == dict(type='Set', data_root='data/sample/x', keep=1, extra=2)
    assert small['elsewhere']['data_root'] == '/mnt/data/x'
    assert small['epochs'] == 2 and recipe['epochs'] == 100
    assert recipe['model']['encoder'] == dict(type='Big', width=9)


def test_options_win_over_the_overlay() -> None:
    cfg = load_config('configs/urbancross_finland.py', {'train_cfg.max_epochs': 3}, sample=True)
    assert cfg.train_cfg.max_epochs == 3
    assert cfg.model.image_encoder.type == 'BackboneEncoder'


def test_a_missing_config_names_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='did you mean .*urbancross_finland.py'):
        load_config('configs/urbancross_finnland.py')
    broken = tmp_path / 'broken.py'
    broken.write_text('model = dict(')
    with pytest.raises(ValueError, match='broken.py does not parse'):
        load_config(broken)


@pytest.mark.parametrize('key', ['data_rot', 'cfg.x', 'modell.head', 'trian_cfg.max_epochs'])
def test_options_that_nobody_would_read_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"no setting '{key.partition('.')[0]}'"):
        load_config('configs/urbancross_finland.py', {key: 1})
    with pytest.warns(UserWarning, match="'text_and_pack' is a variable of"):
        load_config('configs/urbancross_finland.py', {'text_and_pack.0.type': 'x'})
    for known in ('load_from', 'work_dir', 'auto_scale_lr.enable', 'model.new', 'start', 'compile',
                  'sync_bn', 'find_unused_parameters', 'activation_checkpointing'):
        load_config('configs/urbancross_finland.py', {known: 'x'})
