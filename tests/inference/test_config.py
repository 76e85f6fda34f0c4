"""Reading configs: options, mistakes, and configs of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import CONFIGS, ROOT
from urbancross_mm.inference.config import load_config


def test_options_win_over_the_overlay() -> None:
    cfg = load_config('configs/urbancross_finland.py', {'train_cfg.max_epochs': 3}, sample=True)
    assert cfg.train_cfg.max_epochs == 3
    assert cfg.model.image_encoder.type == 'BackboneEncoder'


def test_a_missing_config_names_its_neighbors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'finnland\.py.*urbancross_finland\.py'):
        load_config('configs/urbancross_finnland.py')
    broken = tmp_path / 'broken.py'
    broken.write_text('model = dict(')
    with pytest.raises(ValueError, match=r'broken\.py'):
        load_config(broken)


@pytest.mark.parametrize(
    ('name', 'command'),
    [
        (
            'urbancross_germany2spain_plain.py',
            'adapt.py --cfg-options CONFIG=urbancross_germany.py TARGET=spain METHOD=plain',
        ),
        (
            'urbancross_ucm2rsicd.py',
            'adapt.py --cfg-options CONFIG=urbancross_ucm.py TARGET=rsicd METHOD=curriculum',
        ),
        (
            'adaptation/resnet-18_gru_ucm2rsicd_batch-norm.py',
            'adapt.py --cfg-options CONFIG=baselines/resnet-18_gru_ucm.py TARGET=rsicd '
            'METHOD=batch-norm',
        ),
        (
            'adaptation/own_city.py',
            'adapt.py --cfg-options CONFIG=urbancross_finland.py TARGET=mycity METHOD=transport',
        ),
        (
            'baselines/resnet-18_gru_rsicd_segments.py',
            'own_dataset.py --cfg-options CONFIG=baselines/resnet-18_gru_ucm_segments.py '
            'DATASET=rsicd',
        ),
    ],
)
def test_a_former_config_names_the_command_that_replaces_it(name: str, command: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_config(f'configs/{name}')
    assert name in str(caught.value) and str(caught.value).endswith(f'configs/{command}')
    with pytest.raises(FileNotFoundError) as caught:
        load_config(f'configs/{name}', sample=True)
    assert str(caught.value).endswith(command.replace('--cfg-options', '--sample --cfg-options'))
    options = dict(option.split('=') for option in command.split()[2:])
    load_config(f'configs/{command.split()[0]}', options)


@pytest.mark.parametrize('key', ['data_rot', 'cfg.x', 'modell.head', 'trian_cfg.max_epochs'])
def test_options_that_nobody_would_read_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"'{key.partition('.')[0]}'"):
        load_config('configs/urbancross_finland.py', {key: 1})
    with pytest.warns(UserWarning, match="'text_and_pack'"):
        load_config('configs/urbancross_finland.py', {'text_and_pack.0.type': 'x'})
    for known in (
        'load_from',
        'work_dir',
        'auto_scale_lr.enable',
        'model.new',
        'compile',
        'sync_bn',
        'find_unused_parameters',
        'activation_checkpointing',
    ):
        load_config('configs/urbancross_finland.py', {known: 'x'})


def test_a_variable_in_small_letters_is_named_in_capital_ones() -> None:
    with pytest.warns(UserWarning, match="'target' .* 'TARGET'"):
        load_config('configs/adapt.py', {'target': 'ucm'})


def test_an_old_name_of_an_option_is_read_with_a_warning() -> None:
    with pytest.warns(UserWarning, match='start .*model.adaptation.source_checkpoint'):
        cfg = load_config('configs/urbancross_finland2spain.py', {'start': 'x.pth'})
    assert cfg.model.adaptation.source_checkpoint == 'x.pth'


BROKEN = {
    'name': ('model = dict(type=undefined)', "NameError: name 'undefined' is not defined", 1),
    'assert': ('x = 1\nassert x > 1, "too small"', 'AssertionError: too small', 2),
    'bare assert': ('assert False', 'AssertionError: no message', 1),
    'type': ('\n\nx = len(3)', "TypeError: object of type 'int' has no len", 3),
    'value': ('x = int("a")', 'invalid literal for int', 1),
    'zero': ('x = 1 / 0', 'ZeroDivisionError: division by zero', 1),
    'missing base': ("_base_ = 'none.py'", 'none.py', None),
    'missing base of ours': ("_base_ = 'urbancross_mm::none.py'", 'none.py', None),
    'base of others': ("_base_ = 'nowhere::x/none.py'", 'nowhere', None),
    'base of a number': ('_base_ = 3', 'no 3 in ', None),
    'cycle': ("_base_ = 'x.py'", '_base_', None),
    'import': ("custom_imports = dict(imports=['nowhere_at_all'])", 'nowhere_at_all', None),
}


@pytest.mark.parametrize('case', BROKEN)
def test_a_broken_config_ends_in_a_sentence_with_its_name(case: str, tmp_path: Path) -> None:
    text, reason, line = BROKEN[case]
    (tmp_path / 'x.py').write_text(text)
    with pytest.raises(ValueError, match=r'x\.py') as caught:
        load_config(tmp_path / 'x.py')
    assert reason in str(caught.value) and '\n' not in str(caught.value)
    assert len(str(caught.value)) < 400 + 2 * len(str(tmp_path))
    assert line is None or str(caught.value).endswith(f'x.py, line {line})')


def test_the_line_is_that_of_the_base(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text('a = 1\nb = c\n')
    (tmp_path / 'x.py').write_text("_base_ = ['base.py']\n")
    with pytest.raises(ValueError, match=r'x\.py.*NameError.*base\.py, line 2\)'):
        load_config(tmp_path / 'x.py')


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('x.py', b'\x00\xff' * 50),
        ('x.txt', b'a = 1'),
        ('x.json', b'{"a": '),
        ('x.json', b'[1]'),
        ('x.yaml', b'a: [1'),
        ('x.yaml', b'\xff\xfe\x00'),
        ('x.py', b'def f(:'),
        ('x', b'a = 1'),
    ],
)
def test_files_that_are_no_config(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / name))):
        load_config(tmp_path / name)


def test_other_formats_are_read(tmp_path: Path) -> None:
    (tmp_path / 'x.json').write_text('{"model": {"type": "A"}}')
    (tmp_path / 'x.yaml').write_text('model:\n  type: A\n')
    for name in ('x.json', 'x.yaml'):
        assert load_config(tmp_path / name).model.type == 'A'


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('train_cfg.max_epochs.x', 1),
        ('custom_hooks.9.type', 'A'),
        ('custom_hooks.a.type', 'A'),
        ('param_scheduler.0', 3),
    ],
)
def test_an_option_that_does_not_fit_is_named(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f'{key}={value} .*finland.py'):
        load_config('configs/urbancross_finland.py', {key: value})


@pytest.mark.parametrize(
    'name',
    [
        'urbancross_finland.py',
        'baselines/resnet-18_gru_ucm.py',
        'adapt.py',
    ],
)
@pytest.mark.parametrize('sample', [False, True])
def test_a_config_of_the_package_may_be_inherited_from(
    name: str, sample: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_config(CONFIGS / name, sample=sample).to_dict()
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text(f"_base_ = ['urbancross_mm::{name}']\n")
    assert load_config('mine.py', sample=sample).to_dict() == expected
    (tmp_path / 'mine.py').write_text(f"_base_ = 'urbancross_mm::{name}'\nmodel = dict(x=1)\n")
    assert load_config('mine.py', sample=sample).model.x == 1


def test_an_installed_package_brings_its_configs(tmp_path: Path) -> None:
    """As a wheel lies in site-packages, and asked from any folder."""
    site = tmp_path / 'site'
    ignore = shutil.ignore_patterns('.mim', '__pycache__')
    shutil.copytree(ROOT / 'urbancross_mm', site / 'urbancross_mm', ignore=ignore)
    for part in ('configs', 'tools'):
        shutil.copytree(ROOT / part, site / 'urbancross_mm/.mim' / part, ignore=ignore)
    (tmp_path / 'mine.py').write_text(
        "_base_ = ['urbancross_mm::urbancross_finland.py']\ntrain_cfg = dict(max_epochs=7)\n"
    )
    tool = site / 'urbancross_mm/.mim/tools/misc/print_config.py'
    script = f"""
import runpy, sys
for flags in [], ['--sample']:
    sys.argv = [{str(tool)!r}, 'mine.py', *flags]
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as end:
        assert not end.code
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(site)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'max_epochs=7' in done.stdout
    assert "data_root='data/sample/urbancross" in done.stdout


def test_a_yaml_config_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / 'a.yaml').write_text(f'x: !!python/object/apply:os.mkdir ["{tmp_path / "made"}"]\n')
    with pytest.raises(ValueError, match=r'a\.yaml'):
        load_config(tmp_path / 'a.yaml')
    assert not (tmp_path / 'made').exists()
    (tmp_path / 'b.yml').write_text('x: !!python/tuple [1, 2]\n')
    assert load_config(tmp_path / 'b.yml').x == (1, 2)


def test_a_config_that_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_text('import sys\nsys.exit(3)\n')
    with pytest.raises(ValueError, match=r'a\.py.*SystemExit: 3'):
        load_config(tmp_path / 'a.py')
