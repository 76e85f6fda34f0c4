"""Two ranks that share weights, gradients and optimizer states out train as one rank."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.nn.parallel import DistributedDataParallel

from tests.engine.test_distributed import logged, train_on_two_ranks
from tests.models.helpers import TINY_CLIP, batch, cross_modal, total
from tests.ranks import run_on_ranks
from tests.runs import run, small_config, weights
from urbancross_mm.models import ShardedDataParallel


def config(work_dir: Path, ranks: int, **options: object) -> Config:
    """Same global batches, no augmentation, no batch statistics."""
    cfg = small_config(
        'urbancross_rsicd.py',
        work_dir,
        items=16,
        batch=8 // ranks,
        **{'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1, **options},
    )
    pipeline = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset.pipeline = [
        step for step in pipeline if not step.type.startswith('Random')
    ]
    cfg.val_dataloader.dataset.indices = 7  # uneven
    cfg.model.image_encoder.norm_eval = True
    cfg.model.image_encoder.backbone.zero_init_residual = False
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.01, momentum=0.9)
    cfg.default_hooks.logger.interval = 1
    if ranks > 1:
        cfg.strategy = dict(type='ShardedStrategy', blocks=['BasicBlock'])
    return cfg


def train(cfg: Config, tmp_path: Path) -> None:
    file = tmp_path / f'{Path(cfg.work_dir).name}.py'
    cfg.dump(file)
    train_on_two_ranks(file, Path(cfg.work_dir))


def test_two_sharded_ranks_equal_one(in_sample_dir: Path, tmp_path: Path) -> None:
    run(config(tmp_path / 'one', 1))
    train(config(tmp_path / 'two', 2), tmp_path)
    names = ('one/epoch_2.pth', 'two/epoch_2.pth')
    one, two = (weights(tmp_path / name) for name in names)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5, msg=name)
    one, two = logged(tmp_path / 'one'), logged(tmp_path / 'two')
    losses = [[line['loss'] for line in lines if 'loss' in line] for lines in (one, two)]
    assert len(losses[0]) == 4 and losses[0] == pytest.approx(losses[1], rel=1e-5)
    scales = [[line['logit_scale'] for line in lines if 'loss' in line] for lines in (one, two)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-6) and len(set(scales[0])) == 4
    one, two = one[-1], two[-1]
    keys = [key for key in one if key.startswith('retrieval/')]
    assert keys and all(abs(one[key] - two[key]) < 1e-3 for key in keys)
    # Its checkpoint has the momentum of the second epoch: without it, another point is reached.
    again = config(tmp_path / 'again', 2)
    again.resume, again.load_from = True, str(tmp_path / 'two' / 'epoch_1.pth')
    train(again, tmp_path)
    once, twice = (weights(tmp_path / name / 'epoch_2.pth') for name in ('two', 'again'))
    for name in once:
        torch.testing.assert_close(once[name], twice[name], rtol=1e-6, atol=1e-7, msg=name)


def shard(rank: int, blocks: list[str]) -> tuple:
    torch.manual_seed(rank)  # the first rank's weights count
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Sequential(torch.nn.Linear(6, 6)))
    model.scale = torch.nn.Parameter(torch.tensor(2.0))
    model.frozen = torch.nn.Parameter(torch.tensor(3.0), requires_grad=False)
    wrapped = ShardedDataParallel(model, blocks)
    own = sum(weight.numel() for weight in wrapped.parameters())
    (wrapped(torch.ones(2, 6)).sum() * model.scale * (rank + 1)).backward()
    return own, float(model.scale.grad), model.frozen.grad


def test_scalars_stay_whole_and_their_gradients_are_averaged(tmp_path: Path) -> None:
    (first, grad, frozen), (second, other, _) = run_on_ranks(shard, tmp_path, ['Linear'])
    assert first + second == 2 * (6 * 7) + 2 * 2
    assert grad == pytest.approx(other) and grad != 0 and frozen is None


def test_an_unknown_block_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r'blocks names Block, and Sequential has .*Linear'):
        run_on_ranks(shard, tmp_path, ['Linear', 'Block'])


def tuned(rank: int, part: dict, wrapper: type, blocks: list[str]) -> dict[str, float]:
    torch.manual_seed(0)
    model = retriever(part)
    torch.manual_seed(rank)
    wrapped = wrapper(model, blocks) if blocks else wrapper(model)
    total(wrapped(*batch(3), mode='loss')).backward()
    grads = {n: p.grad for n, p in model.named_parameters() if n.endswith(('middle', 'scale'))}
    return {name: float(grad.sum()) for name, grad in grads.items() if grad is not None}


def retriever(part: dict) -> torch.nn.Module:
    clip = dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP)
    model = cross_modal(text_encoder=clip, finetune=dict(image_encoder=part, text_encoder=part))
    for name, weight in model.named_parameters():
        if name.endswith('.up'):
            torch.nn.init.normal_(weight, std=0.1)
    return model


def test_adapters_share_a_layer_between_shards(tmp_path: Path) -> None:
    part = dict(adapter=dict(width=4, shared=True))
    expected, _ = run_on_ranks(tuned, tmp_path, part, DistributedDataParallel, [])
    blocks = ['ResidualAttentionBlock']
    for grads in run_on_ranks(tuned, tmp_path, part, ShardedDataParallel, blocks):
        assert len(grads) == 1 and list(grads.values()) == pytest.approx(
            list(expected.values()), rel=1e-4
        )


def test_lora_in_the_attention_of_torch_is_refused() -> None:
    with pytest.raises(ValueError, match=r'attn.*DistributedDataParallel'):
        ShardedDataParallel(retriever(dict(lora=dict(rank=2))))
