"""Variables of a config: every trained config, target and method; own datasets; image sizes."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from tests.config_tree import (
    ADAPTABLE,
    DOMAINS,
    LEAVES,
    METHODS,
    TABLE,
    TRAINED,
    all_datasets,
    check_dataset,
    components,
)
from tests.runs import CONFIGS, datasets_of
from urbancross_mm.apis import load_config


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the files below the methods once for each CONFIG and TARGET, not for each METHOD."""
    original: Callable[..., tuple] = Config._file2dict

    @cache
    def read(filename: str, config: str | None, target: str | None) -> tuple:
        return original(filename)

    def file2dict(filename: str, *args: Any, **kwargs: Any) -> tuple:
        path = Path(filename).resolve()
        if path.name == 'adapt.py' or path.parent.name == 'methods':
            return original(filename, *args, **kwargs)
        given = path.name in ('adaptation.py', 'source2target.py')
        values = (os.environ.get(name) if given else None for name in ('CONFIG', 'TARGET'))
        return read(str(path), *values)

    monkeypatch.setattr(Config, '_file2dict', staticmethod(file2dict))


@pytest.mark.parametrize('name', [n for n in LEAVES if n.startswith('mcrn/')])
def test_a_model_that_cannot_be_adapted_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f'CONFIG={name} cannot be adapted'):
        load_config(CONFIGS / 'adapt.py', dict(CONFIG=name, TARGET='ucm', METHOD='transport'))


@pytest.mark.parametrize('config', ADAPTABLE)
def test_every_trained_config_adapts_to_every_target_by_every_method(
    config: str, read_once: None
) -> None:
    trained = load_config(CONFIGS / config)
    sources = source_names(trained)
    for target in [name for name in DOMAINS if name not in sources]:
        for method in METHODS:
            chosen = dict(CONFIG=config, TARGET=target, METHOD=method)
            cfg = load_config(CONFIGS / 'adapt.py', chosen)
            check_data(cfg, trained, target)
            check_model(cfg, trained, method)
            check_schedule(cfg, method)
            name = f'{Path(config).stem}2{target}_{method}'
            assert cfg.work_dir == f'work_dirs/{name}'


def source_names(trained: Config) -> list[str]:
    """The datasets that a config trains on, as their annotation files call them."""
    parts = [p for p in datasets_of(trained.train_dataloader) if p.get('captions') != 'none']
    return [Path(part['ann_file']).stem.removesuffix('_train') for part in parts]


def check_data(cfg: Config, trained: Config, target: str) -> None:
    """Pairs of the sources; images and captions of the target; scores on the target."""
    sources = source_names(trained)
    train = cfg.train_dataloader
    counts = {**train.batch_sampler.source, **train.batch_sampler.target}
    assert list(counts) == [*sources, target] and sum(counts.values()) == train.batch_size
    assert cfg.auto_scale_lr.base_batch_size == train.batch_size
    *pairs, unpaired = train.dataset.datasets
    assert [part.type for part in pairs] == ['ImageTextDataset'] * len(sources)
    five = {'rsicd', 'rsitmd', 'ucm'} & set(sources)
    assert {part.captions for part in pairs} == {'sample' if five else 'each'}
    assert unpaired.type == 'UnpairedDataset' and unpaired.data_root == DOMAINS[target]
    captioned = target not in TABLE.uncaptioned
    read = [*pairs, unpaired, cfg.val_dataloader.dataset, cfg.test_dataloader.dataset]
    assert [(part.data_root, part.ann_file) for part in read] == [
        (DOMAINS[domain], f'annotations/{domain}_{split}.json')
        for domain, split in (
            *((source, 'train') for source in sources),
            (target, 'train'),
            (target, 'val'),
            (target, 'test' if captioned else 'val'),
        )
    ]
    for part in read:
        check_pipeline(part, trained)
    tested = {part.type for part in read[-2:]}
    assert tested == {'ImageTextDataset' if captioned else 'UnpairedDataset'}
    metrics = [metric.type for metric in cfg.test_evaluator]
    assert metrics == [*(['RecallAtK'] if captioned else []), 'LabelFreeMetric']


def check_pipeline(part: Any, trained: Config) -> None:
    """That of the trained config, without segments and masks; features are those of the folder."""
    is_test = part.get('test_mode') or part.get('captions') == 'all'
    loader = trained.test_dataloader if is_test else trained.train_dataloader
    steps, left_out = datasets_of(loader)[0]['pipeline'], ('LoadSegments', 'LoadSegMap')
    expected = [step for step in steps if step['type'] not in left_out]
    assert [step.type for step in part.pipeline] == [step['type'] for step in expected]
    if part.pipeline[0].type == 'LoadFeatures':
        file = f'{part.data_root}/features.npz'
        assert part.pipeline[0].file == part.pipeline[1].tokenizer.file == file
    else:
        assert list(part.pipeline) == expected


def check_model(cfg: Config, trained: Config, method: str) -> None:
    """The towers of the trained config, and the losses of the method."""
    model = cfg.model.to_dict()
    adaptation = model.pop('adaptation')
    assert adaptation['target'] in cfg.train_dataloader.batch_sampler.target
    stem = Path(trained.filename).stem
    assert adaptation['source_checkpoint'] == f'work_dirs/{stem}'
    own = own_part(method)
    for key in ('losses', 'selector', 'paired_loss'):
        assert adaptation.get(key) == own.get(key)
    expected = trained.model.type
    assert model['type'] == ('CrossModalRetriever' if expected == 'UrbanCross' else expected)
    assert model['head']['loss']['type'] == 'InfoNCELoss'
    for tower in ('image_encoder', 'text_encoder'):
        frozen = dict(frozen=True) if 'mobilenet' in stem else {}
        assert model[tower] == dict(trained.model[tower].to_dict(), **frozen)
    assert not any('segment' in key for key in (*model, *model['data_preprocessor']))


@cache
def own_part(method: str) -> dict:
    """What a method's file adds to a model."""
    return Config.fromfile(CONFIGS / f'_base_/methods/{method}.py').model.adaptation.to_dict()


def check_schedule(cfg: Config, method: str) -> None:
    """Ten epochs and 240 steps, however small the target; AdaBN trains nothing."""
    hooks = [hook.type for hook in cfg.custom_hooks]
    if method == 'batch-norm':
        assert cfg.train_cfg.max_epochs == 1 and 'MinStepsHook' not in hooks
        assert {key.lr_mult for key in cfg.optim_wrapper.paramwise_cfg.custom_keys.values()} >= {0}
        return
    assert [hook.min_steps for hook in cfg.custom_hooks if hook.type == 'MinStepsHook'] == [240]
    assert cfg.train_cfg.max_epochs * cfg.train_dataloader.batch_sampler.min_steps == 480
    assert ('SourceCurriculumHook' in hooks) == ('curriculum' in method or method == 'pseudo-pairs')
    assert ('GradientReversalHook' in hooks) == (method in ('curriculum', 'plain', 'dann'))


@pytest.mark.parametrize('method', METHODS)
def test_the_batch_of_a_method(method: str) -> None:
    """UrbanCross publishes 80 and 16; the small encoders, and other methods, take 64 and 64."""
    for config, published in (('urbancross_rsicd.py', True), ('baselines/linear_rsicd.py', False)):
        chosen = dict(CONFIG=config, TARGET='ucm', METHOD=method)
        sampler = load_config(CONFIGS / 'adapt.py', chosen).train_dataloader.batch_sampler
        sizes = (80, 16) if published and method in ('curriculum', 'plain') else (64, 64)
        assert (sampler.source.rsicd, sampler.target.ucm) == sizes


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('target', ['ucm', 'mycity'])
def test_labels_are_pairs_more_in_each_batch(method: str, target: str) -> None:
    chosen = dict(CONFIG='urbancross_rsicd.py', TARGET=target, METHOD=method)
    plain = load_config(CONFIGS / 'adapt.py', chosen)
    cfg = load_config(CONFIGS / 'adapt.py', dict(chosen, ANCHORS='my/anchors.csv'))
    sampler = cfg.train_dataloader.batch_sampler
    assert sampler.source.pop('anchors') == 16
    assert sampler == plain.train_dataloader.batch_sampler
    assert cfg.train_dataloader.batch_size == plain.train_dataloader.batch_size + 16
    source, labeled, unpaired = cfg.train_dataloader.dataset.datasets
    assert (labeled.pop('type'), unpaired.pop('type')) == ('AnchorDataset', 'UnpairedDataset')
    assert labeled == unpaired and unpaired.pop('anchors_file') == 'my/anchors.csv'
    assert [
        source,
        dict(unpaired, type='UnpairedDataset'),
    ] == plain.train_dataloader.dataset.datasets
    for loader in ('val_dataloader', 'test_dataloader'):
        assert cfg[loader] == plain[loader]


@pytest.mark.parametrize(
    ('name', 'method'),
    [('finland2spain', 'curriculum'), ('finland2spain_transport', 'transport')],
)
def test_named_adaptations_are_those_of_adapt(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = CONFIGS / f'urbancross_{name}.py'
    same = load_config(CONFIGS / 'adapt.py', dict(METHOD=method)).to_dict()
    assert same.pop('work_dir') == f'work_dirs/urbancross_finland2spain_{method}'
    named = load_config(path).to_dict()
    assert named.pop('work_dir') is None  # that of the file's name
    assert named == same
    monkeypatch.setenv('TARGET', 'germany')
    with pytest.raises(ValueError, match='urbancross_finland2germany'):
        load_config(path)


def test_a_folder_is_a_target(tmp_path: Path) -> None:
    folder = tmp_path / 'Porto'
    (folder / 'annotations').mkdir(parents=True)
    chosen = dict(TARGET=str(folder))
    cfg = load_config(CONFIGS / 'adapt.py', chosen)
    assert cfg.test_dataloader.dataset.ann_file == 'annotations/porto_test.json'
    assert cfg.model.adaptation.target == 'porto' and cfg.work_dir.endswith('2porto_transport')
    (folder / 'annotations/porto_texts.txt').touch()
    cfg = load_config(CONFIGS / 'adapt.py', chosen)
    assert cfg.test_dataloader.dataset.text_file == 'annotations/porto_texts.txt'
    assert cfg.default_hooks.checkpoint.save_best == 'label_free/agreement'


@pytest.mark.parametrize(
    ('variables', 'named'),
    [
        (dict(TARGET='sapin'), ['TARGET=sapin', 'did you mean spain;', 'mycity']),
        (dict(TARGET='finland'), ['TARGET=finland', 'CONFIG=urbancross_finland.py']),
        (dict(METHOD='transprot'), ['transprot.py', 'transport.py', 'curriculum.py']),
        (dict(CONFIG='urbancross_finlnd.py'), ['urbancross_finlnd.py', 'urbancross_finland.py']),
        (dict(CONFIG='urbancross_finland2spain.py', TARGET='ucm'), ['work directory']),
        (dict(CONFIG='baselines/resnet-18_gru_ucm_fold.py'), ['KFoldDataset', 'fold.py']),
        (dict(METHDO='dann'), ['METHDO', "'METHOD'", 'CONFIG, IMAGE_SIZE, METHOD, TARGET']),
        (dict(method='dann'), ["'method'", "'METHOD'"]),
    ],
)
def test_a_wrong_variable_ends_in_one_sentence(variables: dict, named: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        load_config(CONFIGS / 'adapt.py', variables)
    assert '\n' not in str(caught.value)
    assert [part for part in named if part not in str(caught.value)] == []


@pytest.mark.parametrize('name', TRAINED)
def test_any_config_trains_on_another_dataset(name: str, tmp_path: Path) -> None:
    chosen = dict(CONFIG=name, DATASET='rsitmd')
    if name == 'sirs/sirs_mask-stream.py':
        with pytest.raises(ValueError, match=f'CONFIG={name}.*CAPTIONED='):
            load_config(CONFIGS / 'own_dataset.py', chosen)
        return
    cfg = load_config(CONFIGS / 'own_dataset.py', chosen)
    check_dataset(cfg, 'rsitmd')
    trained = load_config(CONFIGS / name)
    assert cfg.work_dir == f'work_dirs/{Path(name).stem}_on_rsitmd'
    for part, before in zip(
        all_datasets(cfg), all_datasets(trained)[:: len(source_names(trained))]
    ):
        assert [step['type'] for step in part['pipeline']] == [
            step['type'] for step in before['pipeline']
        ]
    # Files that were made from a dataset are those of the new one.
    files = [c for c in components((cfg.model, all_datasets(cfg))) if {'file', 'vocab_file'} & {*c}]
    assert {Path(c.get('file') or c['vocab_file']).parts[1] for c in files} <= {'rsitmd'}
    # Nothing of the dump names the dataset, or the config, that it was made from.
    assert cfg.data.data_root == 'data/rsitmd' and {'config', 'folder', 'name', 'own'}.isdisjoint(
        cfg
    )
    with pytest.raises(ValueError, match='DATASET=rstimd .*mean rsitmd'):
        load_config(CONFIGS / 'own_dataset.py', dict(DATASET='rstimd'))
    cfg = load_config(CONFIGS / 'own_dataset.py', dict(CONFIG=name, DATASET=str(tmp_path)))
    assert datasets_of(cfg.test_dataloader)[0]['data_root'] == str(tmp_path)


@pytest.mark.parametrize('name', LEAVES)
@pytest.mark.parametrize('sample', [False, True])
def test_one_variable_sets_the_image_size_everywhere(name: str, sample: bool) -> None:
    before = load_config(CONFIGS / name, sample=sample)
    after = load_config(CONFIGS / name, dict(IMAGE_SIZE=64), sample=sample)
    cropped = [step for step in pipeline_steps(before) if step['type'] == 'RandomCropImage']
    assert bool(cropped) == ('linear' not in name)  # features instead of images
    for step, old in zip(pipeline_steps(after), pipeline_steps(before)):
        if step['type'] == 'RandomCropImage':
            assert step['size'] == 64
        elif step['type'] == 'ResizeImage':
            assert step['scale'] == round(64 * old['scale'] / cropped[0]['size'])
        else:
            assert step == old
    for encoder in components(after.model):
        if encoder['type'] == 'OpenCLIPImageEncoder':
            assert encoder['image_size'] == 64


def pipeline_steps(cfg: Config) -> list[dict]:
    """Of all pipelines of the loaders."""
    return [step for part in all_datasets(cfg) for step in part['pipeline']]


def test_a_variable_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TARGET', 'ucm')
    monkeypatch.setenv('METHOD', 'dann')
    assert load_config(CONFIGS / 'adapt.py').work_dir == 'work_dirs/urbancross_finland2ucm_dann'
    given = load_config(CONFIGS / 'adapt.py', dict(TARGET='rsicd'))
    assert given.work_dir == 'work_dirs/urbancross_finland2rsicd_dann'
    assert os.environ['TARGET'] == 'ucm'


def test_a_trained_config_is_named_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'runs').mkdir()
    # As a run writes it: with its work directory, which is where its checkpoints are.
    load_config(CONFIGS / 'urbancross_spain.py', dict(work_dir='runs')).dump('runs/mine.py')
    (tmp_path / 'own.py').write_text("_base_ = 'urbancross_mm::urbancross_spain.py'\n")
    for config, checkpoint in (
        ('runs/mine.py', 'runs'),
        (str(tmp_path / 'runs/mine.py'), 'runs'),
        ('own.py', 'work_dirs/own'),
        ('urbancross_mm::urbancross_spain.py', 'work_dirs/urbancross_spain'),
    ):
        cfg = load_config(CONFIGS / 'adapt.py', dict(CONFIG=config, TARGET='ucm'))
        assert cfg.model.adaptation.source_checkpoint == checkpoint
        assert cfg.work_dir == f'work_dirs/{Path(checkpoint).name}2ucm_transport'
        assert source_names(cfg) == ['spain', 'ucm']


@pytest.mark.parametrize(
    ('name', 'value'),
    [('CAPTIONED', 'rsitdm'), ('MASKS', 'dronedeply'), ('BACKBONE', 'mit-b9'), ('TEXT', 'bert')],
)
def test_a_name_that_no_table_has_is_said_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf'{name}={value} is .*\.py, line \d+'):
        load_config(CONFIGS / 'sirs/sirs_mask-stream.py', {name: value})
