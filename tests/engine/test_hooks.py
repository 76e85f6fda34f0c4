"""The guard refuses other models; the grids show what the ranking says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from tests.runs import reset_mmengine_state, run, small_config
from urbancross_mm.engine import RetrievalVisualizationHook
from urbancross_mm.structures import RetrievalDataSample


def test_a_checkpoint_of_another_model_is_refused(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path)
    torch.save(dict(state_dict={'backbone.weight': torch.zeros(3)}, meta={}), tmp_path / 'x.pth')
    cfg.load_from = str(tmp_path / 'x.pth')
    reset_mmengine_state()
    with pytest.raises(ValueError, match=r'x\.pth .*CrossModalRetriever, 0'):
        Runner.from_cfg(cfg).test()
    reset_mmengine_state()
    with pytest.raises(ValueError, match='another model'):
        Runner.from_cfg(cfg).train()


def test_one_weight_of_another_shape_is_refused_in_a_test(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path)
    reset_mmengine_state()
    runner = Runner.from_cfg(cfg)
    state = runner.model.state_dict()
    name = next(n for n in state if state[n].dim() == 2)
    state[name] = state[name][:-1]
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'x.pth')
    cfg.load_from = str(tmp_path / 'x.pth')
    reset_mmengine_state()
    with pytest.raises(ValueError, match=f'1.*{name}'):
        Runner.from_cfg(cfg).test()


def test_weights_alone_cannot_be_resumed(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path)
    reset_mmengine_state()
    state = Runner.from_cfg(cfg).model.state_dict()
    torch.save(dict(state_dict=state, meta=dict(epoch=1, iter=2)), tmp_path / 'best_x.pth')
    cfg.load_from, cfg.resume = str(tmp_path / 'best_x.pth'), True
    reset_mmengine_state()
    with pytest.raises(ValueError, match='weights only'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize(
    'extra',
    [
        {},
        dict(meta=dict(epoch=1, iter=2)),
        dict(meta={}, message_hub={}),
        dict(meta=[], message_hub={}),
    ],
)
def test_a_run_of_another_program_cannot_be_resumed(
    extra: dict, in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path)
    reset_mmengine_state()
    state = Runner.from_cfg(cfg).model.state_dict()
    torch.save(dict(model=state, optimizer={}, **extra), tmp_path / 'x.pth')
    cfg.load_from, cfg.resume = str(tmp_path / 'x.pth'), True
    reset_mmengine_state()
    with pytest.raises(ValueError, match=r'x.pth .*\(meta, message_hub\)'):
        Runner.from_cfg(cfg).train()


def test_a_checkpoint_without_segments_starts_the_segment_tower(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    plain = small_config('urbancross_finland_no-segments.py', tmp_path)
    reset_mmengine_state()
    state = Runner.from_cfg(plain).model.state_dict()
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'plain.pth')
    cfg = small_config('urbancross_finland.py', tmp_path)
    cfg.load_from = str(tmp_path / 'plain.pth')
    reset_mmengine_state()
    runner = Runner.from_cfg(cfg)
    runner.test()
    tower = runner.model.segment_encoder.encoder.state_dict()
    assert all(torch.equal(tower[k], v) for k, v in runner.model.image_encoder.state_dict().items())


def sample(
    path: Path, ids: list[int], owned: list[int], image: list[float], texts: list[list[float]]
) -> RetrievalDataSample:
    out = RetrievalDataSample(
        metainfo=dict(
            img_path=str(path),
            caption_text_ids=ids,
            captions=[f'text {i}' for i in ids],
            text_ids=owned,
        )
    )
    out.image_embeds = torch.tensor(image)
    out.text_embeds = torch.tensor(texts).view(len(owned), 2)
    return out


def test_ranking_of_the_grids(tmp_path: Path) -> None:
    for name in 'ab':
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f'{name}.png')
    hook = RetrievalVisualizationHook(num_queries=2, topk=2)
    masked = sample(tmp_path / 'only a class map.png', [], [], [9, 9], [])
    masked.set_metainfo(dict(for_retrieval=False))
    hook._keep(
        [
            sample(tmp_path / 'a.png', [1, 2], [1, 2], [1, 0], [[1, 0], [0, 1]]),
            sample(tmp_path / 'b.png', [2], [], [0, 1], []),
            masked,
            RetrievalDataSample(image_embeds=torch.ones(2)),  # of one modality: nothing to search
            RetrievalDataSample(text_embeds=torch.ones(1, 2)),
        ]
    )
    (query, first), (other, second) = hook._rank(2)
    assert (query, other) == ('text 1', 'text 2')
    assert [Path(r.img_path).name for r in first] == ['a.png', 'b.png']
    assert [r.relevant for r in first] == [True, False]
    # text 2 was encoded with image a, but belongs to b as well
    assert [Path(r.img_path).name for r in second] == ['b.png', 'a.png']
    assert [r.relevant for r in second] == [True, True]


def test_validation_writes_grids(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config(
        'urbancross_rsicd_no-segments.py',
        tmp_path,
        **{'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1},
    )
    run(cfg)
    grids = list(tmp_path.rglob('vis_image/retrieval_query_*.png'))
    assert len(grids) == 3


def test_bfloat16_training_runs_on_a_cpu_and_keeps_fp32_weights(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = small_config(
        'urbancross_finland.py',
        tmp_path,
        **{'train_cfg.max_epochs': 1, 'optim_wrapper.type': 'BFloat16OptimWrapper'},
    )
    seen = set()
    reset_mmengine_state()
    runner = Runner.from_cfg(cfg)
    conv = next(m for m in runner.model.modules() if isinstance(m, torch.nn.Conv2d))
    conv.register_forward_hook(
        lambda module, args, out: seen.add(out.dtype) if module.training else None
    )
    runner.train()
    assert seen == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in runner.model.parameters())
