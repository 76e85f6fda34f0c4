"""Templates and options as a user writes them."""

import os
from pathlib import Path

import pytest

from tests.runs import CONFIGS
from urbancross_mm.experiments import MatrixSpec, Template, parse_methods, parse_options, plan
from urbancross_mm.experiments.methods import fill


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    template = Template('configs/{source}2{target}.py', ('start=runs/{source}_{seed}', 'a={}'))
    path, options = template.at(source='rsicd', target='ucm', seed=3)
    assert path == 'configs/rsicd2ucm.py'
    assert options == ('start=runs/rsicd_3', 'a={}')


def test_an_unknown_placeholder_is_named() -> None:
    with pytest.raises(ValueError, match=r'\{domain\}.* \{source\}, \{seed\}'):
        fill('configs/{domain}.py', source='a', seed=0)


def test_options_are_read_as_cfg_options() -> None:
    options = parse_options(
        ['a.b=1', 'c=0.5', 'd=None', 'e=[1,2]', 'f=(x,y)', 'g=True', 'a.b=2', 'h=x=y', 'i=-1']
    )
    assert options == {
        'a.b': 2,
        'c': 0.5,
        'd': None,
        'e': [1, 2],
        'f': ('x', 'y'),
        'g': True,
        'h': 'x=y',
        'i': -1,
    }
    assert parse_options([]) == {}


@pytest.mark.parametrize('option', ['lr', '=1', ''])
def test_an_option_without_key_or_value(option: str) -> None:
    with pytest.raises(ValueError, match='KEY=VALUE'):
        parse_options([option])


def test_methods_carry_their_options() -> None:
    methods = parse_methods(
        ['ot-eps0.1=x_{source}2{target}.py;model.losses.0.eps=0.1;lr=1', 'plain=p.py;epochs=3'],
        ['epochs=2', 'batch=4'],
    )
    assert list(methods) == ['ot-eps0.1', 'plain']
    assert methods['ot-eps0.1'] == Template(
        'x_{source}2{target}.py', ('epochs=2', 'batch=4', 'model.losses.0.eps=0.1', 'lr=1')
    )
    assert parse_options(methods['plain'].options) == {'epochs': 3, 'batch': 4}


@pytest.mark.parametrize(
    ('methods', 'extra', 'sentence'),
    [
        (['x.py'], [], 'NAME=CONFIG'),
        (['plain='], [], 'NAME=CONFIG'),
        (['../up=x.py'], [], 'letters'),
        (['a=x.py', 'a=y.py'], [], 'twice'),
        ([], ['lr=1'], 'no method: lr=1'),
        (['a=x.py;lr'], [], "KEY=VALUE, got 'lr'"),
        (['a=x.py'], ['lr'], "KEY=VALUE, got 'lr'"),
    ],
)
def test_mistakes_in_methods(methods: list[str], extra: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_methods(methods, extra)


def test_a_method_by_its_name_adapts_the_source_config() -> None:
    source = str(CONFIGS / 'baselines/linear_{source}.py')
    methods = parse_methods(
        ['transport', 'half=curriculum;train_cfg.max_epochs=5'], ['IMAGE_SIZE=64'], source
    )
    assert {template.template for template in methods.values()} == {str(CONFIGS / 'adapt.py')}
    before = dict(os.environ)
    jobs = {
        (job.method, job.source): job.config
        for job in plan(MatrixSpec(('rsicd', 'ucm'), Template(source), methods, control=False))
        if job.adapts
    }
    assert os.environ == before
    for (method, domain), config in jobs.items():
        target = dict(rsicd='ucm', ucm='rsicd')[domain]
        assert config['train_dataloader']['batch_sampler']['source'] == {domain: 64}
        assert config['model']['adaptation']['target'] == target
        assert config['train_cfg']['max_epochs'] == dict(transport=10, half=5)[method]
    assert len(jobs) == 4


def test_a_config_outside_a_tree_is_adapted_by_that_of_the_package() -> None:
    for source in ('{source}.py', 'urbancross_mm::urbancross_{source}.py'):
        template = parse_methods(['dann'], source=source)['dann']
        assert Path(template.template).is_file()
        assert template.options == (f'CONFIG={source}', 'TARGET={target}', 'METHOD=dann')
