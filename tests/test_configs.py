"""Configs build, train two iterations and validate under ``--sample``."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config

import urbancross_mm.datasets
import urbancross_mm.engine
import urbancross_mm.evaluation
import urbancross_mm.models  # noqa: F401  the imports fill the registries
from tests.runs import CONFIGS, run, small_config
from urbancross_mm.apis import load_config
from urbancross_mm.registry import DATASETS, HOOKS, METRICS, MODELS, TOKENIZERS, TRANSFORMS

LEAVES = sorted(
    str(p.relative_to(CONFIGS))
    for p in CONFIGS.rglob('*.py')
    if not {'_base_', 'curation'} & set(p.relative_to(CONFIGS).parts)
)
# family, source, target and, if any, the variant
ADAPTING = {
    name: match.groups()
    for name in LEAVES
    if (match := re.search(r'([\w-]+)_([a-z]+)2([a-z]+)(?:_([a-z-]+))?\.py$', name))
}


def trained() -> list[str]:
    """All leaves but most of those that adapt: every pair of domains once, and every method.

    An adaptation is one pair and one method, which know nothing of each other.
    """
    families = {groups[0] for groups in ADAPTING.values()}
    pairs = {f: sorted({g[1:3] for g in ADAPTING.values() if g[0] == f}) for f in families}
    variants = {f: sorted({g[3] or '' for g in ADAPTING.values() if g[0] == f}) for f in families}

    def takes_part(name: str) -> bool:
        family, source, target, variant = ADAPTING[name]
        place = pairs[family].index((source, target)), variants[family].index(variant or '')
        return (place[0] - place[1]) % min(len(pairs[family]), len(variants[family])) == 0

    return [name for name in LEAVES if name not in ADAPTING or takes_part(name)]


COUNTRIES = ['finland', 'germany', 'spain', 'integration', 'rsicd', 'rsitmd', 'ucm']


def test_every_pair_and_every_method_is_trained() -> None:
    for parts in (slice(0, 3), slice(0, None, 3)):
        assert {ADAPTING[name][parts] for name in trained() if name in ADAPTING} == {
            groups[parts] for groups in ADAPTING.values()
        }


@pytest.mark.parametrize('name', trained())
def test_config_trains_and_validates_on_the_sample(
    name: str, in_sample_dir: Path, tmp_path: Path
) -> None:
    items = 24 if 'fold' in name else 16  # a third of the folds' items validates
    cfg = small_config(
        name, tmp_path, items, **{'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1}
    )
    runner = run(cfg)
    assert runner.iter == 2
    scores = runner.message_hub.log_scalars
    assert (tmp_path / 'epoch_1.pth').is_file()
    watched = cfg.default_hooks.checkpoint.save_best  # without pairs, a score without labels
    for key in [watched] if isinstance(watched, str) else watched:
        lowest, highest = (-1, 1) if 'agreement' in key else (0, 100)
        assert lowest <= scores[f'val/{key}'].current() <= highest
        assert list(tmp_path.glob(f'best_{key.replace("/", "_")}_*.pth'))


@pytest.mark.parametrize('name', LEAVES)
def test_leaf_is_short_and_says_what_it_is(name: str) -> None:
    lines = (CONFIGS / name).read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('# ')


@pytest.mark.parametrize('name', COUNTRIES)
def test_both_variants_exist_with_the_published_config(name: str) -> None:
    with_segments = load_config(CONFIGS / f'urbancross_{name}.py')
    without = load_config(CONFIGS / f'urbancross_{name}_no-segments.py')
    assert with_segments.model.type == 'UrbanCross'
    assert without.model.type == 'CrossModalRetriever'
    for cfg in (with_segments, without):
        assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-5)
        assert cfg.param_scheduler == [dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.7)]
        assert cfg.model.head.loss.margin == 0.2


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


@pytest.mark.parametrize('name', ADAPTING)
def test_an_adaptation_names_its_domains_everywhere(name: str) -> None:
    """Pairs of the source; images and sentences of the target; scores on the target."""
    family, source, target, variant = ADAPTING[name]
    cfg = load_config(CONFIGS / name)
    assert cfg.model.adaptation.source_checkpoint == f'work_dirs/{family}_{source}'
    assert [Path(leaf).stem for leaf in LEAVES].count(f'{family}_{source}') == 1
    assert cfg.model.adaptation.target == target
    train = cfg.train_dataloader
    counts = {**train.batch_sampler.source, **train.batch_sampler.target}
    assert list(counts) == [source, target] and sum(counts.values()) == train.batch_size
    parts = train.dataset.datasets
    assert [part.type for part in parts] == ['ImageTextDataset', 'UnpairedDataset']
    assert parts[0].captions == ('sample' if source in ('rsicd', 'ucm') else 'each')
    read = [*parts, cfg.val_dataloader.dataset, cfg.test_dataloader.dataset]
    assert [(Path(part.data_root).name.lower(), part.ann_file) for part in read] == [
        (domain, f'annotations/{domain}_{split}.json')
        for domain, split in (
            (source, 'train'),
            (target, 'train'),
            (target, 'val'),
            (target, 'test'),
        )
    ]
    method = Config.fromfile(CONFIGS / '_base_' / 'methods' / f'{variant or "curriculum"}.py')
    assert [loss.type for loss in cfg.model.adaptation.get('losses', [])] == [
        loss.type for loss in method.model.adaptation.get('losses', [])
    ]
    sample = load_config(CONFIGS / name, sample=True).model.adaptation
    assert sample.source_checkpoint == cfg.model.adaptation.source_checkpoint + '_sample'


@pytest.mark.parametrize('name', [*ADAPTING, 'adaptation/own_city.py'])
def test_an_adaptation_of_ten_epochs_has_240_steps_however_small_the_target(name: str) -> None:
    cfg = load_config(CONFIGS / name)
    (hook,) = [hook for hook in cfg.custom_hooks if hook.type == 'MinStepsHook'] or [None]
    if 'batch-norm' in name:  # one pass that trains nothing
        assert hook is None
        return
    assert hook.min_steps == 240
    if cfg.train_cfg.max_epochs == 10:
        assert 10 * cfg.train_dataloader.batch_sampler.min_steps == 240


def components(node: object) -> Iterator[dict]:
    """Every dict with a ``type`` below a config."""
    if isinstance(node, dict):
        if 'type' in node:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from components(child)


@pytest.mark.parametrize('name', LEAVES)
def test_every_argument_of_the_real_config_exists(name: str) -> None:
    """``--sample`` replaces the encoders, so their real settings are checked by signature."""
    registries = (TRANSFORMS, TOKENIZERS, DATASETS, MODELS, METRICS, HOOKS)
    checked = set()
    for component in components(load_config(CONFIGS / name).to_dict()):
        kind = component['type']
        found = next((r.get(kind) for r in registries if kind in r.module_dict), None)
        if found is not None:
            given = {key: value for key, value in component.items() if key != 'type'}
            inspect.signature(found).bind_partial(**given)
            checked.add(kind)
    # A config reads images, or features of them that were computed beforehand.
    assert {'LoadImage', 'LoadFeatures'} & checked
    # It is judged by pairs, or without where a city has none.
    assert {'RecallAtK', 'LabelFreeMetric'} & checked
    assert {'ImageTextDataset', 'RetrievalHead'} <= checked
