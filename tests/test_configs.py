"""Every recipe builds, trains two iterations and validates under ``--sample``."""

import inspect
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

LEAVES = sorted(str(p.relative_to(CONFIGS)) for p in CONFIGS.rglob('*.py')
                if '_base_' not in p.parts)
COUNTRIES = ['finland', 'germany', 'spain', 'integration', 'rsicd', 'rsitmd', 'ucm']


@pytest.mark.parametrize('name', LEAVES)
def test_recipe_trains_and_validates_on_the_sample(name: str, in_sample_dir: Path,
                                                   tmp_path: Path) -> None:
    items = 24 if 'fold' in name else 16  # a third of the folds' items validates
    cfg = small_config(name, tmp_path, items,
                       **{'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1})
    runner = run(cfg)
    assert runner.iter == 2
    scores = runner.message_hub.log_scalars
    assert 0 <= scores['val/retrieval/mR'].current() <= 100
    assert (tmp_path / 'epoch_1.pth').is_file()
    assert list(tmp_path.glob('best_retrieval_mR_*.pth'))


@pytest.mark.parametrize('name', LEAVES)
def test_leaf_is_short_and_says_what_it_is(name: str) -> None:
    lines = (CONFIGS / name).read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('# ')


@pytest.mark.parametrize('name', COUNTRIES)
def test_both_variants_exist_with_the_published_recipe(name: str) -> None:
    with_segments = load_config(CONFIGS / f'urbancross_{name}.py')
    without = load_config(CONFIGS / f'urbancross_{name}_no-segments.py')
    assert with_segments.model.type == 'UrbanCross'
    assert without.model.type == 'CrossModalRetriever'
    for cfg in (with_segments, without):
        assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-5)
        assert cfg.param_scheduler == [
            dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.7)]
        assert cfg.model.head.loss.margin == 0.2


@pytest.mark.parametrize('name', LEAVES)
def test_the_learning_rate_scales_from_the_recipe_s_own_batch(name: str) -> None:
    cfg = load_config(CONFIGS / name)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size


PUBLISHED = {  # specification: epochs, batch, segments with; epochs, batch without
    'finland': (15, 40, 5, 15, 45), 'germany': (20, 40, 5, 15, 40), 'spain': (20, 40, 5, 15, 45),
    'rsicd': (20, 40, 6, 15, 40), 'rsitmd': (15, 40, 6, 10, 40),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_numbers(name: str) -> None:
    def numbers(cfg: Config) -> tuple[int, int]:
        return cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size

    with_segments = load_config(CONFIGS / f'urbancross_{name}.py')
    without = load_config(CONFIGS / f'urbancross_{name}_no-segments.py')
    loaded = [step.num_segments for step in with_segments.train_dataloader.dataset.pipeline
              if step.type == 'LoadSegments']
    segments = with_segments.model.data_preprocessor.num_segments
    assert loaded == [segments]
    assert (*numbers(with_segments), segments, *numbers(without)) == PUBLISHED[name]


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
def test_every_argument_of_the_real_recipe_exists(name: str) -> None:
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
    # A recipe reads pictures, or features of them that were computed beforehand.
    assert {'LoadImage', 'LoadFeatures'} & checked
    assert {'ImageTextDataset', 'RetrievalHead', 'RecallAtK'} <= checked
