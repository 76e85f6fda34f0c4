"""The plan: which jobs there are, what they start from, and what they test on."""

import pickle
from pathlib import Path

import pytest

from tests.experiments.fakes import spec_of, write_configs
from urbancross_mm.experiments import MatrixSpec, Template, parse_directions, plan
from urbancross_mm.experiments.testing_data import files_of_test, replace_test_set


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_configs(tmp_path)
    return tmp_path


def by_name(spec: MatrixSpec) -> dict:
    return {job.name: job for job in plan(spec)}


def test_every_domain_every_direction_every_seed(root: Path) -> None:
    jobs = plan(spec_of(root, seeds=(0, 1)))
    assert len(jobs) == 2 * (3 + 6 + 6) == len({job.name for job in jobs})
    assert [job.name for job in jobs[:4]] == [
        'source_a_seed0',
        'source_b_seed0',
        'source_c_seed0',
        'source-only_a2b_seed0',
    ]
    assert sum(job.trains for job in jobs) == 2 * (3 + 6)
    assert {job.config['randomness']['seed'] for job in jobs if job.seed == 1} == {1}
    positions = {job.name: position for position, job in enumerate(jobs)}
    for job in jobs:
        assert job.needs is None or positions[job.needs] < positions[job.name]


def test_an_adaptation_starts_from_the_source_model_of_its_seed(root: Path) -> None:
    jobs = by_name(spec_of(root, seeds=(0, 1)))
    job = jobs['plain_a2b_seed1']
    assert job.adapts and job.trains and job.start == job.needs == 'source_a_seed1'
    assert job.start_id == jobs['source_a_seed1'].fingerprint
    # The config's own start and work directory give way to the matrix's.
    assert job.config['model']['adaptation'] == dict(target=job.target)
    assert 'work_dir' not in job.config


def test_a_transfer_tests_the_target_with_the_words_of_the_source(root: Path) -> None:
    job = by_name(spec_of(root))['source-only_a2c_seed0']
    assert not job.trains and not job.adapts and job.needs == 'source_a_seed0'
    assert job.config['model']['words'] == 'a'
    assert files_of_test(job.config) == [f'{root}/c_test.json']
    steps = job.config['test_dataloader']['dataset']['pipeline']
    assert steps[1] == dict(type='TokenizeText', tokenizer=dict(vocab='a'))


def test_replace_test_set_leaves_its_arguments_alone() -> None:
    def config(name: str) -> dict:
        step = dict(type='urbancross_mm.TokenizeText', tokenizer=name)
        return dict(
            test_dataloader=dict(dataset=dict(datasets=[dict(pipeline=[step])])),
            test_evaluator=name,
        )

    source, target = config('s'), config('t')
    merged = replace_test_set(source, target)
    assert merged['test_dataloader'] == source['test_dataloader']
    assert merged['test_evaluator'] == 't'
    assert (source, target) == (config('s'), config('t'))


def test_features_are_looked_up_in_the_file_of_the_target() -> None:
    def config(file: str) -> dict:
        step = dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=file))
        return dict(test_dataloader=dict(dataset=dict(pipeline=[step])), test_evaluator={})

    assert replace_test_set(config('s.npz'), config('t.npz')) == config('t.npz')


def test_options_and_placeholders_reach_the_config(root: Path) -> None:
    method = Template(f'{root}/{{source}}2{{target}}.py', ('model.note={target}_{seed}',))
    spec = MatrixSpec(
        ('a', 'b'),
        Template(f'{root}/{{source}}.py', ('epochs=1',)),
        {'m': method},
        seeds=(4,),
    )
    jobs = by_name(spec)
    assert jobs['source_a_seed4'].config['epochs'] == 1
    assert jobs['m_a2b_seed4'].config['model']['note'] == 'b_4'
    assert jobs['m_a2b_seed4'].config['epochs'] == 3


def test_given_source_models_are_tested_and_not_trained(root: Path) -> None:
    for name in 'abc':
        (root / f'{name}_0.pth').write_text(name)
    template = f'{root}/{{source}}_{{seed}}.pth'
    jobs = by_name(spec_of(root, source_checkpoint=template))
    for name in ('source_a_seed0', 'source-only_a2b_seed0', 'plain_a2b_seed0'):
        assert jobs[name].start == f'{root}/a_0.pth' and jobs[name].needs is None
        assert jobs[name].trains == name.startswith('plain')
    (root / 'a_0.pth').write_text('other weights')
    again = by_name(spec_of(root, source_checkpoint=template))
    assert again['plain_a2b_seed0'].fingerprint != jobs['plain_a2b_seed0'].fingerprint
    assert again['plain_b2a_seed0'].fingerprint == jobs['plain_b2a_seed0'].fingerprint
    with pytest.raises(FileNotFoundError, match='a_1.pth'):
        plan(spec_of(root, source_checkpoint=template, seeds=(1,)))


def test_a_changed_source_changes_what_starts_from_it(root: Path) -> None:
    before = by_name(spec_of(root))
    (root / 'a.py').write_text((root / 'a.py').read_text().replace('epochs = 3', 'epochs = 4'))
    after = by_name(spec_of(root))
    changed = {name for name in before if before[name].fingerprint != after[name].fingerprint}
    assert changed == {name for name in before if before[name].source == 'a'}


def test_jobs_travel_between_processes(root: Path) -> None:
    for job in plan(spec_of(root)):
        assert pickle.loads(pickle.dumps(job)).fingerprint == job.fingerprint


def test_numbers_of_different_test_data_are_not_compared(root: Path) -> None:
    methods = {
        'm': Template(f'{root}/{{source}}2{{target}}.py', ('test_dataloader.dataset.indices=4',))
    }
    with pytest.raises(ValueError, match=r'a2b.py .*b.py .*items 4'):
        plan(spec_of(root, methods=methods))
    methods = {
        'm': Template(f'{root}/{{source}}2{{target}}.py', ('test_evaluator.ties=optimistic',))
    }
    with pytest.raises(ValueError, match=r'a2b.py.*optimistic'):
        plan(spec_of(root, methods=methods))


def test_a_metric_beside_and_defaults_spelled_out_do_not_matter(root: Path) -> None:
    for name in ('a2b', 'b2a'):
        with open(root / f'{name}.py', 'a') as file:
            file.write(
                "test_evaluator = [dict(type='RecallAtK', ties='expected', topk=[1, 5, 10])"
                ", dict(type='LabelFreeMetric')]\n"
            )
    assert plan(spec_of(root))


def test_a_missing_config_ends_the_plan(root: Path) -> None:
    (root / 'c2a.py').unlink()
    with pytest.raises(FileNotFoundError, match='c2a.py'):
        plan(spec_of(root))


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(domains=('a',)), 'at least two'),
        (dict(domains=('a', 'a')), 'different'),
        (dict(domains=('a', 'b!')), 'letters'),
        (dict(seeds=()), 'at least one'),
        (dict(seeds=(1, 1)), 'different numbers'),
        (dict(select='../x'), 'metric key'),
        (dict(domains=('a', 'x/A', 'y/a')), 'different'),
        (dict(only=(('a', 'z'),)), 'got a to z'),
        (dict(only=(('a', 'a'),)), 'got a to a'),
        (dict(only=(('a', 'b'),)), 'c is in no direction'),
        (dict(control=True, methods={'control-x': Template('{source}2{target}')}), '--no-control'),
        (
            dict(methods={'source-only': Template('{source}2{target}.py')}),
            'name of the report',
        ),
        (dict(methods={'m': Template('a2{target}.py')}), r'needs \{source\}'),
    ],
)
def test_a_matrix_that_is_none(root: Path, settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        spec_of(root, **settings)


def test_named_directions_alone(root: Path) -> None:
    only = (('a', 'b'), ('c', 'b'))
    (root / 'b.py').unlink()  # a target needs no source config
    jobs = by_name(spec_of(root, only=only))
    assert list(jobs) == [
        'source_a_seed0',
        'source_c_seed0',
        'source-only_a2b_seed0',
        'source-only_c2b_seed0',
        'plain_a2b_seed0',
        'plain_c2b_seed0',
    ]
    transfer = jobs['source-only_a2b_seed0'].config
    assert files_of_test(transfer) == [f'{root}/b_test.json']
    assert files_of_test(transfer) == files_of_test(jobs['plain_a2b_seed0'].config)
    assert transfer['model']['words'] == 'a' and 'adaptation' not in transfer['model']
    with pytest.raises(FileNotFoundError, match='b.py'):
        plan(spec_of(root, only=only, methods={}))
    with pytest.raises(FileNotFoundError, match='b.py'):
        plan(spec_of(root, only=only, in_target=True))


def test_without_a_method_the_source_config_of_the_target_names_its_test_set(root: Path) -> None:
    only = (('a', 'b'),)
    jobs = by_name(spec_of(root, ('a', 'b'), only=only, methods={}))
    assert list(jobs) == ['source_a_seed0', 'source-only_a2b_seed0']
    assert files_of_test(jobs['source-only_a2b_seed0'].config) == [f'{root}/b_test.json']
    jobs = by_name(spec_of(root, ('a', 'b'), only=only, methods={}, in_target=True))
    assert jobs['source_b_seed0'].trains


def test_methods_of_a_target_without_a_config_test_on_the_same_data(root: Path) -> None:
    template = f'{root}/{{source}}2{{target}}.py'
    methods = {
        'm': Template(template),
        'n': Template(template, ('test_dataloader.dataset.indices=4',)),
    }
    with pytest.raises(ValueError, match=r'a2b.py .*a2b.py .*items 4'):
        plan(spec_of(root, ('a', 'b'), only=(('a', 'b'),), methods=methods))


def test_a_target_without_captions_has_no_place_in_a_matrix(root: Path) -> None:
    with open(root / 'a2b.py', 'a') as file:
        file.write("test_evaluator = dict(type='LabelFreeMetric')\n")
    with pytest.raises(ValueError, match='a2b.py has no RecallAtK'):
        plan(spec_of(root, ('a', 'b'), only=(('a', 'b'),)))


def test_a_folder_is_called_by_its_last_part(root: Path) -> None:
    (root / 'data/Porto').mkdir(parents=True)
    folder = f'{root}/data/Porto'
    method = Template(f'{root}/{{source}}2b.py', ('model.note={target}',))
    spec = MatrixSpec(
        ('a', folder), Template(f'{root}/{{source}}.py'), {'m': method}, only=(('a', folder),)
    )
    job = by_name(spec)['m_a2porto_seed0']
    assert job.target == 'porto' and job.config['model']['note'] == folder


def test_directions_as_a_user_writes_them() -> None:
    assert parse_directions(['rsicd2ucm', 'ucm2rsicd', 'rsicd2ucm']) == (
        ('rsicd', 'ucm'),
        ('ucm', 'rsicd'),
    )
    assert parse_directions(['rsicd2data/porto']) == (('rsicd', 'data/porto'),)
    assert parse_directions(['a2b2c'], ('a2b', 'c')) == (('a2b', 'c'),)
    for word, domains, message in (
        ('a2b2c', (), "'a2b2c'; it can be read in 2 ways"),
        ('a2b', ('a', 'c'), "of the domains a, c, got 'a2b'"),
        ('2b', (), "SOURCE2TARGET, got '2b'"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_directions([word], domains)


def test_two_jobs_never_share_a_folder(tmp_path: Path) -> None:
    domains = ('a', 'a2b', 'b2a')
    write_configs(tmp_path, domains)
    # "a2b2a": a -> b2a, or a2b -> a.
    with pytest.raises(ValueError, match='source-only_a2b2a_seed0'):
        plan(spec_of(tmp_path, domains, methods={}))
