"""Configs build, train two iterations and validate under ``--sample``."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import urbancross_mm.datasets
import urbancross_mm.engine
import urbancross_mm.evaluation
import urbancross_mm.models  # noqa: F401  the imports fill the registries
from tests.config_tree import (
    LEAVES,
    METHODS,
    TRAINED,
    all_datasets,
    check_dataset,
    components,
    datasets_of,
)
from tests.runs import CONFIGS, ROOT, run, small_config
from urbancross_mm.apis import load_config
from urbancross_mm.registry import DATASETS, HOOKS, METRICS, MODELS, SCOPE, TOKENIZERS, TRANSFORMS

# Every method, every family of configs and every kind of target once; the structure of every
# combination is checked in test_config_variables.py.
ADAPTATIONS = [
    ('urbancross_finland.py', 'mycity', 'transport'),
    ('urbancross_rsicd.py', 'ucm', 'plain'),
    ('urbancross_spain_no-segments.py', 'mycountry', 'dann'),
    ('urbancross_integration.py', 'rsitmd', 'coral'),
    ('baselines/linear_ucm.py', 'rsicd', 'curriculum'),
    ('baselines/linear_rsicd.py', 'ucm', 'pseudo-pairs'),
    ('baselines/mobilenet-v2_minilm_rsicd.py', 'ucm', 'transport-curriculum'),
    ('baselines/resnet-18_gru_rsicd.py', 'ucm', 'batch-norm'),
    ('baselines/resnet-18_gru_ucm_segments.py', 'rsicd', 'mk-mmd'),
    ('sirs/sirs.py', 'ucm', 'transport-live'),
    ('sirs/sirs_mask-stream.py', 'ucm', 'coral'),
]


def check_run(cfg: Config, work_dir: Path) -> None:
    """Train two iterations and validate."""
    runner = run(cfg)
    assert runner.iter == 2
    scores = runner.message_hub.log_scalars
    assert (work_dir / 'epoch_1.pth').is_file()
    # Without pairs, a score without labels; of a pre-training no score is the best one.
    watched = cfg.default_hooks.checkpoint.save_best or []
    assert any('val/' in key for key in scores)
    for key in [watched] if isinstance(watched, str) else watched:
        lowest, highest = (-1, 1) if 'agreement' in key else (0, 100)
        assert lowest <= scores[f'val/{key}'].current() <= highest
        assert list(work_dir.glob(f'best_{key.replace("/", "_")}_*.pth'))


ONE_EPOCH = {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1}


@pytest.mark.parametrize('name', LEAVES)
def test_config_trains_and_validates_on_the_sample(
    name: str, in_sample_dir: Path, tmp_path: Path
) -> None:
    items = 24 if 'fold' in name else 16  # a third of the folds' items validates
    check_run(small_config(name, tmp_path, items, **ONE_EPOCH), tmp_path)


@pytest.mark.parametrize(('config', 'target', 'method'), ADAPTATIONS)
def test_an_adaptation_trains_and_validates_on_the_sample(
    config: str, target: str, method: str, in_sample_dir: Path, tmp_path: Path
) -> None:
    chosen = dict(CONFIG=config, TARGET=target, METHOD=method)
    check_run(small_config('adapt.py', tmp_path, **ONE_EPOCH, **chosen), tmp_path)


def test_every_method_and_family_is_trained() -> None:
    assert {method for *_, method in ADAPTATIONS} == set(METHODS)
    models = {load_config(CONFIGS / name).model.image_encoder.type for name, *_ in ADAPTATIONS}
    assert models == {load_config(CONFIGS / name).model.image_encoder.type for name in TRAINED}


def test_a_config_of_another_dataset_trains_and_validates(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    chosen = dict(CONFIG='baselines/resnet-18_gru_ucm_segments.py', DATASET='rsicd')
    cfg = small_config('own_dataset.py', tmp_path, **ONE_EPOCH, **chosen)
    assert {part['data_root'] for part in all_datasets(cfg)} == {'data/sample/rsicd'}
    check_run(cfg, tmp_path)


@pytest.mark.parametrize('name', LEAVES)
def test_leaf_is_short_and_says_what_it_is(name: str) -> None:
    lines = (CONFIGS / name).read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('# ')


def test_there_are_few_files_and_all_that_are_typed_are_listed() -> None:
    assert len(list(CONFIGS.rglob('*.py'))) <= 64
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    models = [m for file in index for m in yaml.safe_load((ROOT / file).read_text())['Models']]
    assert sorted(model['Config'] for model in models) == sorted(f'configs/{n}' for n in LEAVES)
    assert all(model['Name'] == Path(model['Config']).stem for model in models)


@pytest.mark.parametrize('name', LEAVES)
def test_nothing_is_random_in_validation_and_test(name: str) -> None:
    cfg = load_config(CONFIGS / name)
    for split in ('val', 'test'):
        for dataset in datasets_of(cfg[f'{split}_dataloader']):
            assert not [step.type for step in dataset.pipeline if 'Random' in step.type]
            assert split in dataset.ann_file


def test_sirs_as_published() -> None:
    cfg = load_config(CONFIGS / 'sirs/sirs.py')
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (35, 32)
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=2e-4)
    assert cfg.param_scheduler == [dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.7)]
    loss, head = cfg.model.head.loss, cfg.model.pyramid.decode_head
    assert (loss.margin, loss.reduction, loss.loss_weight) == (0.2, 'mean', 20)
    assert (head.num_classes, head.loss_decode.loss_weight) == (15, 80)
    check_dataset(cfg, 'rsitmd')


@pytest.mark.parametrize('name', ['rsitmd', 'rsicd', 'ucm'])
def test_mcrn_as_published(name: str) -> None:
    first = load_config(CONFIGS / 'mcrn/mcrn_pretrain.py', dict(CAPTIONED=name))
    second = load_config(CONFIGS / 'mcrn/mcrn.py', dict(CAPTIONED=name))
    for cfg in (first, second):
        check_dataset(cfg, name)
        assert cfg.train_dataloader.batch_size == 64
    assert (second.train_cfg.max_epochs, second.optim_wrapper.optimizer.lr) == (70, 9e-5)
    rates = second.optim_wrapper.paramwise_cfg.custom_keys.shared
    assert rates.lr_mult * second.optim_wrapper.optimizer.lr == pytest.approx(3e-4)
    # The rate falls to 0 once, at the end.
    assert second.param_scheduler[0].T_max == second.train_cfg.max_epochs
    # Nothing that the switch for the released losses would have to win against.
    assert second.model.head == dict(type='RetrievalHead')
    assert {
        p.optimizer.lr for p in (first.optim_wrapper.encoders, first.optim_wrapper.discriminator)
    } == {2e-4}


SEGFORMER = dict(
    type='mmseg.SegformerHead',
    in_index=[0, 1, 2, 3],
    channels=8,
    num_classes=15,
    loss_decode=dict(type='mmseg.CrossEntropyLoss', loss_weight=80.0, avg_non_ignore=True),
)
WEIGHTED = {'class_weight': 'data/sample/class_weights.json', 'avg_non_ignore': False}
# What docs/explanation/sirs.md and docs/how-to/segmentation.md say to type.
VARIANTS: dict[str, tuple[str, dict]] = {
    'sirs': ('sirs.py', {}),
    'mask-stream': ('sirs_mask-stream.py', dict(CAPTIONED='ucm', MASKS='dronedeploy')),
    'prototype': ('sirs_no-masks.py', dict(CAPTIONED='ucm')),
    'base': ('sirs_no-masks.py', {'CAPTIONED': 'ucm', 'model.pyramid': None}),
    'irmim': (
        'sirs_no-masks.py',
        {
            'CAPTIONED': 'ucm',
            'IMAGE_SIZE': 64,
            'model.pyramid.masked_image.type': 'MaskedImageHead',
            'model.pyramid.masked_image.mask_ratio': 0.3,
        },
    ),
    'without-ssa': ('sirs.py', {'model.pyramid.attention': None}),
    'without-amw': ('sirs.py', {'model.pyramid.weighting': None}),
    'segmentation-alone': (
        'sirs.py',
        {'model.pyramid.attention': None, 'model.pyramid.weighting': None},
    ),
    'mmseg-head': ('sirs.py', {'model.pyramid.decode_head': dict(SEGFORMER, _delete_=True)}),
    'class-weights': (
        'sirs.py',
        {f'model.pyramid.decode_head.loss_decode.{key}': value for key, value in WEIGHTED.items()},
    ),
}


@pytest.mark.parametrize('variant', list(VARIANTS))
def test_every_variant_of_sirs_trains_all_of_its_weights(
    variant: str, in_sample_dir: Path, tmp_path: Path
) -> None:
    """DistributedDataParallel stops at weights without a gradient."""
    Path('data/sample/class_weights.json').write_text(str([1.0] * 15))
    name, options = VARIANTS[variant]
    cfg = small_config(f'sirs/{name}', tmp_path, **options)
    with DefaultScope.overwrite_default_scope(SCOPE):
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        model = MODELS.build(cfg.model).train()
    losses = model(**model.data_preprocessor(next(iter(loader)), True), mode='loss')
    pyramid = cfg.model.pyramid or {}
    assert ('loss_segmentation' in losses) == (pyramid.get('decode_head') is not None)
    assert ('loss_masked_image' in losses) == ('masked_image' in pyramid)
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    trained = [(key, p.grad) for key, p in model.named_parameters() if p.requires_grad]
    assert [key for key, grad in trained if grad is None] == []


@pytest.mark.parametrize('backbone', ['resnet-50', 'mit-b0', 'swin-t', 'efficientnet-lite2'])
def test_backbones_of_sirs_build_without_their_weights(backbone: str) -> None:
    cfg = load_config(CONFIGS / 'sirs/sirs.py', {'BACKBONE': backbone, 'IMAGE_SIZE': 64})
    encoder = MODELS.build(cfg.model.image_encoder)
    assert [stride for _, stride in encoder.map_shapes()] == [4, 8, 16, 32]


@pytest.mark.parametrize(
    'name', ['finland', 'germany', 'spain', 'integration', 'rsicd', 'rsitmd', 'ucm']
)
def test_both_variants_exist_with_the_published_config(name: str) -> None:
    with_segments = load_config(CONFIGS / f'urbancross_{name}.py')
    without = load_config(CONFIGS / f'urbancross_{name}_no-segments.py')
    assert with_segments.model.type == 'UrbanCross'
    assert without.model.type == 'CrossModalRetriever'
    for cfg in (with_segments, without):
        assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-5)
        assert cfg.param_scheduler == [dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.7)]
        assert cfg.model.head.loss.margin == 0.2
        if name != 'integration':
            check_dataset(cfg, name)


@pytest.mark.parametrize('name', LEAVES)
def test_the_learning_rate_scales_from_the_config_s_own_batch(name: str) -> None:
    cfg = load_config(CONFIGS / name)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size


PUBLISHED = {  # specification: epochs, batch, segments with; epochs, batch without
    'finland': (15, 40, 5, 15, 45),
    'germany': (20, 40, 5, 15, 40),
    'spain': (20, 40, 5, 15, 45),
    'rsicd': (20, 40, 6, 15, 40),
    'rsitmd': (15, 40, 6, 10, 40),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_numbers(name: str) -> None:
    def numbers(cfg: Config) -> tuple[int, int]:
        return cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size

    with_segments = load_config(CONFIGS / f'urbancross_{name}.py')
    without = load_config(CONFIGS / f'urbancross_{name}_no-segments.py')
    loaded = [
        step.num_segments
        for step in with_segments.train_dataloader.dataset.pipeline
        if step.type == 'LoadSegments'
    ]
    segments = with_segments.model.data_preprocessor.num_segments
    assert loaded == [segments]
    assert (*numbers(with_segments), segments, *numbers(without)) == PUBLISHED[name]


@pytest.mark.parametrize('name', LEAVES)
def test_every_argument_of_the_real_config_exists(name: str) -> None:
    """``--sample`` replaces the encoders, so their real settings are checked by signature."""
    checked = check_arguments(load_config(CONFIGS / name))
    # A config reads images, or features of them that were computed beforehand.
    assert {'LoadImage', 'LoadFeatures'} & checked
    assert 'ImageTextDataset' in checked
    retrieves, pretrains = {'RecallAtK', 'RetrievalHead'}, {'ModalGapMetric', 'MCRNPretrainer'}
    assert retrieves <= checked or pretrains <= checked


@pytest.mark.parametrize('method', METHODS)
def test_every_argument_of_a_method_exists(method: str) -> None:
    chosen = dict(CONFIG='baselines/mobilenet-v2_minilm_ucm.py', TARGET='mycity', METHOD=method)
    assert {'UnpairedDataset', 'LabelFreeMetric'} <= check_arguments(
        load_config(CONFIGS / 'adapt.py', chosen)
    )


def check_arguments(cfg: Config) -> set[str]:
    """Bind the settings of every registered component; their types."""
    registries = (TRANSFORMS, TOKENIZERS, DATASETS, MODELS, METRICS, HOOKS)
    checked = set()
    for component in components(cfg.to_dict()):
        kind = component['type']
        built = next((r.get(kind) for r in registries if kind in r.module_dict), None)
        if built is not None:
            given = {key: value for key, value in component.items() if key != 'type'}
            inspect.signature(built).bind_partial(**given)
            checked.add(kind)
    return checked
