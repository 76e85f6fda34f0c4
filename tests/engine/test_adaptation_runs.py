"""Whole adaptations of a sample model: resumed, distributed, and blind to the target's pairs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from tests.ranks import run_on_ranks
from tests.runs import reset_mmengine_state, run, small_config, weights
from urbancross_mm.apis import resolve_source_checkpoint
from urbancross_mm.datasets import UnpairedDataset
from urbancross_mm.engine.hooks import target_batch_norm_hook
from urbancross_mm.registry import DATASETS, HOOKS

CURRICULUM = 'urbancross_finland2spain.py'
TRANSPORT = 'urbancross_finland2spain_transport.py'
SPAIN = Path('data/sample/urbancross/Spain/annotations')
FINLAND = Path('data/sample/urbancross/Finland/annotations')


class Killed(Exception):
    """Stands for a kill at any moment."""


@HOOKS.register_module(force=True)
class InterruptHook(Hook):
    """Kill the run in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """After the first iteration of the epoch."""
        if runner.epoch == self.epoch:
            raise Killed


@pytest.fixture(scope='module')
def start(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run of the source config leaves: a model with segments and another loss."""
    folder = tmp_path_factory.mktemp('source')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(sample_dir)
        reset_mmengine_state()
        cfg = small_config('urbancross_finland.py', folder, **{'randomness.seed': 1})
        # A residual branch of zeros puts flat areas on the kink of the ReLU behind it.
        cfg.model.image_encoder.backbone.zero_init_residual = False
        runner = Runner.from_cfg(cfg)
        runner.model.init_weights()
    path = folder / 'epoch_40.pth'
    torch.save(dict(state_dict=runner.model.state_dict(), meta=dict(epoch=40)), path)
    return str(path)


def config(
    work_dir: Path,
    start: str,
    name: str = CURRICULUM,
    resume: bool = False,
    epochs: int = 1,
    batch: int = 8,
    **options: Any,
) -> Config:
    """A small adaptation, as ``tools/train.py`` prepares it."""
    cfg = small_config(
        name,
        work_dir,
        batch=batch,
        **{
            'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': epochs,
            'model.adaptation.source_checkpoint': start,
            **options,
        },
    )
    for loss in cfg.model.adaptation.get('losses', []):
        if 'Pair' in loss.type:
            loss.update(min_items=4, memory_size=6)
    cfg.resume = resume
    resolve_source_checkpoint(cfg)
    return cfg


def trained(cfg: Config) -> dict[str, Tensor]:
    run(cfg)
    return weights(Path(cfg.work_dir) / f'epoch_{cfg.train_cfg.max_epochs}.pth')


def changed(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """Names of the weights that differ in any bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize('name', [CURRICULUM, TRANSPORT])
def test_train_and_resume_is_bit_equal(
    in_sample_dir: Path, tmp_path: Path, start: str, name: str
) -> None:
    """In the middle of a curriculum, of a ramp, and of a memory."""
    whole = trained(config(tmp_path / 'whole', start, name, epochs=4))
    cfg = config(tmp_path / 'parts', start, name, epochs=4)
    cfg.custom_hooks.append(dict(type='InterruptHook', epoch=2))
    with pytest.raises(Killed):
        run(cfg)
    parts = trained(config(tmp_path / 'parts', start, name, resume=True, epochs=4))
    assert changed(whole, parts) == []
    assert changed(whole, weights(tmp_path / 'whole' / 'epoch_3.pth'))


@DATASETS.register_module(force=True)
class TextByImage(UnpairedDataset):
    """Draws the same text for an image on whatever rank it is loaded."""

    def get_data_info(self, idx: int) -> dict[str, Any]:
        np.random.seed(idx)
        return super().get_data_info(idx)


def deterministic(cfg: Config) -> Config:
    """Without augmentation."""
    for part in cfg.train_dataloader.dataset.datasets:
        part.pipeline = [step for step in part.pipeline if not step.type.startswith('Random')]
    return cfg


def without_chance(work_dir: Path, start: str, name: str, ranks: int = 1) -> Config:
    """Nor with batch statistics: only the sharding differs between ranks."""
    cfg = deterministic(config(work_dir, start, name, epochs=2, batch=8 // ranks))
    cfg.train_dataloader.dataset.datasets[1].type = 'TextByImage'
    cfg.model.image_encoder.norm_eval = True
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.03)
    cfg.train_cfg.val_interval = 9
    return cfg


def on_a_rank(rank: int, folder: str, work_dir: str, start: str, names: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('LOCAL_RANK', str(rank))
        for name in names:
            cfg = without_chance(Path(work_dir) / name, start, name, ranks=2)
            cfg.launcher = 'pytorch'
            cfg.model_wrapper_cfg = dict(
                type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
            )
            run(cfg)


def test_two_ranks_equal_one(in_sample_dir: Path, tmp_path: Path, start: str) -> None:
    names = [CURRICULUM, TRANSPORT]
    for folder in ('meet', 'two', 'one'):
        (tmp_path / folder).mkdir()
    run_on_ranks(
        on_a_rank, tmp_path / 'meet', str(in_sample_dir), str(tmp_path / 'two'), start, names
    )
    before = weights(Path(start))
    for name in names:
        one = trained(without_chance(tmp_path / 'one' / name, start, name))
        two = weights(tmp_path / 'two' / name / 'epoch_2.pth')
        assert one.keys() == two.keys()
        moved = max(distance(one[key], before[key]) for key in before if key in one)
        assert moved > 1e-3
        for key in one:
            # A gradient that is not summed over the ranks would be half of it.
            assert distance(one[key], two[key]) < 0.02 * moved, key


def distance(first: Tensor, second: Tensor) -> float:
    return (first.float() - second.float()).abs().max().item()


@pytest.fixture
def own_sample(in_sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sample whose files may be spoilt."""
    shutil.copytree(in_sample_dir / 'data', tmp_path / 'own' / 'data')
    monkeypatch.chdir(tmp_path / 'own')
    return tmp_path


def rotate_captions(path: Path) -> None:
    """Hand the captions of each image to the next."""
    content = json.loads(path.read_text())
    items = content['data_list']
    captions = [item['captions'] for item in items]
    assert len({str(caption) for caption in captions}) > 1
    for item, other in zip(items, captions[1:] + captions[:1]):
        item['captions'] = other
    path.write_text(json.dumps(content))


@pytest.mark.parametrize('name', [CURRICULUM, TRANSPORT])
def test_no_pair_of_the_target_is_learned_from(own_sample: Path, start: str, name: str) -> None:
    before = trained(config(own_sample / 'before', start, name))
    rotate_captions(SPAIN / 'spain_train.json')
    assert changed(before, trained(config(own_sample / 'after', start, name))) == []
    rotate_captions(FINLAND / 'finland_train.json')  # but those of the source are
    assert changed(before, trained(config(own_sample / 'source', start, name)))


@pytest.mark.parametrize('other', [False, True])
def test_a_resumed_run_says_that_the_texts_changed(
    own_sample: Path, start: str, other: bool
) -> None:
    work = own_sample / 'work'
    assert trained(config(work, start, TRANSPORT))['adaptation.0.plan_digest'].any()
    if other:
        path = SPAIN / 'spain_train.json'
        content = json.loads(path.read_text())
        content['data_list'][0]['captions'][0] = 'words of nobody'
        path.write_text(json.dumps(content))
    run(config(work, start, TRANSPORT, resume=True, epochs=2))
    logged = ''.join(path.read_text() for path in work.glob('*/*.log'))
    assert ('images, texts or labels of the target changed' in logged) == other
    assert 'plan of' in logged and 'starting checkpoint changed' not in logged


def test_the_test_split_of_the_target_is_not_read(own_sample: Path, start: str) -> None:
    (SPAIN / 'spain_test.json').write_text('poison')
    cfg = config(own_sample / 'work', start)
    runner = run(cfg)
    assert runner.iter == 2
    with pytest.raises(ValueError, match=r'spain_test\.json .*JSON'):
        runner.test()


@pytest.mark.parametrize('wrapper', ['OptimWrapper', 'BFloat16OptimWrapper'])
def test_clipping_acts_after_backward(
    in_sample_dir: Path, tmp_path: Path, start: str, wrapper: str
) -> None:
    """The published code clips before there is a gradient."""
    cfg = config(tmp_path, start, TRANSPORT, **{'optim_wrapper.type': wrapper})
    cfg.param_scheduler = []
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=1.0)
    cfg.optim_wrapper.clip_grad = dict(max_norm=1e-3)
    runner = run(cfg)
    before = weights(Path(start))
    squares = [
        (weight - before[name]).square().sum().item()
        for name, weight in runner.model.named_parameters()
        if 'logit_scale' not in name
    ]
    assert 5e-4 < sum(squares) ** 0.5 <= 2e-3 * 1.01  # two steps of at most 1e-3
    assert runner.message_hub.log_scalars['train/grad_norm'].min() > 0.1


def test_a_start_without_some_weight_is_refused(
    in_sample_dir: Path, tmp_path: Path, start: str
) -> None:
    """A plain fine-tune may begin with half of them; here a part would stay untrained."""
    state = weights(Path(start))
    del state['text_encoder.projection.bias']
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r'another model.*text_encoder\.projection\.bias'):
        run(config(tmp_path / 'work', str(tmp_path / 'part.pth')))


def test_the_curriculum_advances(in_sample_dir: Path, tmp_path: Path, start: str) -> None:
    cfg = config(tmp_path, start, epochs=3)
    cfg.default_hooks.logger.interval = 1
    scalars = run(cfg).message_hub.log_scalars
    ratios = scalars['train/source_ratio'].data[0]
    expected = [round(ratio * 6) / 6 for ratio in (0.2, 0.4, 0.6)]  # 6 source samples a batch
    assert ratios.tolist() == pytest.approx(np.repeat(expected, 2).tolist())
    assert {
        'train/loss_triplet',
        'train/loss_domain_image',
        'train/loss_domain_text',
        'train/domain_acc',
    } <= set(scalars)


def test_an_adapted_checkpoint_is_one_of_the_plain_config(
    in_sample_dir: Path, tmp_path: Path, start: str
) -> None:
    cfg = config(tmp_path, start)
    adapted = run(cfg)
    score = adapted.message_hub.log_scalars['val/retrieval/mR'].current()
    plain = small_config('urbancross_spain_no-segments.py', tmp_path / 'plain')
    plain.load_from = str(tmp_path / 'epoch_1.pth')
    plain.test_dataloader = plain.val_dataloader = cfg.val_dataloader
    reset_mmengine_state()
    assert Runner.from_cfg(plain).test()['retrieval/mR'] == score


def first_norm(runner: Runner, domain: int, batches: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of what the first BatchNorm sees of a domain, averaged over batches."""
    part, model = runner.train_dataloader.dataset.datasets[domain], runner.model
    images = torch.stack([part[position]['inputs']['image'] for position in range(4)])
    seen = []
    for chunk in images.chunk(batches):
        image = model.data_preprocessor(dict(inputs=dict(image=list(chunk))))['inputs']['image']
        with torch.no_grad():
            maps = model.image_encoder.backbone.conv1(image)
        seen.append(maps.transpose(0, 1).flatten(1))
    return (
        torch.stack([maps.mean(1) for maps in seen]).mean(0),
        torch.stack([maps.var(1) for maps in seen]).mean(0),
    )


@pytest.mark.parametrize('size, batches', [(64, 1), (3, 2)])
def test_batch_norm_takes_the_statistics_of_the_target(
    in_sample_dir: Path,
    tmp_path: Path,
    start: str,
    size: int,
    batches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_batch_norm_hook, 'IMAGES_PER_BATCH', size)
    cfg = deterministic(config(tmp_path, start, TRANSPORT))
    cfg.custom_hooks.append(dict(type='TargetBatchNormHook'))
    runner = run(cfg)
    layer = runner.model.image_encoder.backbone.bn1
    source, target = (first_norm(runner, domain, batches) for domain in (0, 1))
    for name, result, own, other in zip(
        ('mean', 'var'), (layer.running_mean, layer.running_var), target, source
    ):
        torch.testing.assert_close(result, own, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(result, other, rtol=1e-2, atol=1e-3)
        saved = weights(tmp_path / 'epoch_1.pth')[f'image_encoder.backbone.bn1.running_{name}']
        assert torch.equal(saved, result)
    assert layer.momentum == 0.1


def test_a_domain_without_images(in_sample_dir: Path, tmp_path: Path, start: str) -> None:
    cfg = config(tmp_path, start, TRANSPORT)
    cfg.custom_hooks.append(dict(type='TargetBatchNormHook', target='germany'))
    with pytest.raises(ValueError, match="target 'germany'"):
        run(cfg)
