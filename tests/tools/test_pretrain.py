"""Stage 1 of MCRN on a folder of images, a text file and a folder of sound, by the command line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from tests.datasets.tiny import image, item, write
from tests.ranks import run_on_ranks
from tests.recordings import record, tone
from tests.runs import CONFIGS, ROOT, weights
from urbancross_mm.models import MCRNPretrainer
from urbancross_mm.registry import MODEL_WRAPPERS, MODELS
from urbancross_mm.utils.setup_env import reset_mmengine_state

WORDS = ['red', 'roof', 'road', 'river', 'tree', 'field']
# Over the config of the documentation.
SMALL = """
train_dataloader.update(batch_size=4, num_workers={workers})
val_dataloader.update(batch_size=3, num_workers=0)
words.update(max_length=8)
for part in (*train, *val):
    part.update(num_splits=4)
backbone.update(base_channels=4, stem_channels=4)
model['data_preprocessor']['spectrogram'] = dict(frames=64)
for encoder in (model['image_encoder'], model['encoders']['audio']):
    encoder.update(embed_dim=16, probe_size=32)
model['text_encoder'].update(embed_dim=16, word_dim=8, hidden_dim=8)
model['shared'] = dict(heads=2, hidden_dim=8)
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=2)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=-1, save_best=None, rule=None),
    logger=dict(interval=1))
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
"""
CAPTIONED = """
data = dict(
    type='ImageTextDataset', data_root='{root}', ann_file='annotations/tiny.json',
    pipeline=[dict(type='LoadImage'), dict(type='LoadAudio'),
              dict(type='ResizeImage', scale=32), *parts[1]['pipeline']])
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**data, captions='sample'))
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**data, captions='all'))
"""


def write_data(root: Path) -> None:
    """Ten images, sixteen sentences, eight sounds; a quarter is held out."""
    for number in range(10):
        path = root / f'photos/{number % 2}/{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image(seed=number)).save(path)
    rng = np.random.default_rng(0)
    lines = [' '.join(rng.choice(WORDS, 4)) for _ in range(16)]
    (root / 'sentences.txt').write_text('\n\n'.join(lines) + '\n')
    for number in range(8):
        record(root / f'sound/{number}.flac', tone(300 + 200 * number, 0.2))
    ids = {word: number for number, word in enumerate([*WORDS, '<unk>'], 1)}
    (root / 'words.json').write_text(json.dumps(ids))


def write_config(root: Path, workers: int = 0, captioned: bool = False, more: str = '') -> Path:
    """The config of the documentation, on these data: a run of 18 iterations."""
    page = (ROOT / 'docs/how-to/pretrain.md').read_text()
    sources, annotated, *rest = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    text = ''.join([sources, annotated if captioned else '', *rest])
    text += SMALL.format(workers=workers) + more.format(root=root)
    for old, new in (
        ("'data/rsicd'", f"'{root}'"),
        ('rsicd_train.json', 'tiny.json'),
        ("'data/", f"'{root}/"),
        ('configs/', f'{CONFIGS}/'),
        ('scale=256', 'scale=32'),
        ("dict(type='LoadAudio')", "dict(type='LoadAudio', max_seconds=0.5)"),
    ):
        assert old in page
        text = text.replace(old, new)
    path = root / 'pretrain.py'
    path.write_text(text)
    return path


@pytest.fixture
def train(
    call_tool: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Train below the temporary folder, as if in a process of its own."""
    write_data(tmp_path)

    def run(work: str, *arguments: object, workers: int = 0) -> str:
        config = write_config(tmp_path, workers)
        reset_mmengine_state()
        code, text = call_tool('train', config, '--work-dir', tmp_path / work, *arguments)
        assert code == 0, text[-3000:]
        return text

    return run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modality of each iteration."""
    names: list[str] = []
    draw = MCRNPretrainer._drawn

    def spy(model: MCRNPretrainer, inputs: dict[str, Any], draws: torch.Generator) -> str:
        assert len(inputs) == 1
        names.append(draw(model, inputs, draws))
        return names[-1]

    monkeypatch.setattr(MCRNPretrainer, '_drawn', spy)
    return names


def logged(work: Path) -> dict[str, float]:
    """The last validation."""
    (path,) = work.glob('*/vis_data/scalars.json')
    return json.loads(path.read_text().splitlines()[-1])


@pytest.mark.parametrize(('workers', 'iterations'), [(0, (4, 10)), (2, (9,))])
def test_three_sources_train_and_a_resumed_run_is_the_whole_one(
    train: Callable[..., str],
    drawn: list[str],
    tmp_path: Path,
    workers: int,
    iterations: tuple[int, ...],
) -> None:
    train('whole', workers=workers)
    order, last = list(drawn), weights(tmp_path / 'whole/iter_18.pth')
    # The twelve sentences for training are three batches of four, and each modality has as many.
    assert [Counter(order[:9]), Counter(order[9:])] == [dict(image=3, text=3, audio=3)] * 2
    metrics = logged(tmp_path / 'whole')
    assert 0 <= metrics['modal_gap/discriminator_acc'] <= 1
    assert all(metrics[f'modal_gap/spread_{name}'] > 0 for name in ('image', 'text', 'audio'))
    for iteration in iterations:
        drawn.clear()
        checkpoint = tmp_path / f'whole/iter_{iteration}.pth'
        train(f'resumed{iteration}', '--resume', checkpoint, workers=workers)
        assert drawn == order[iteration:]
        result = weights(tmp_path / f'resumed{iteration}/iter_18.pth')
        assert result.keys() == last.keys()
        assert [name for name in last if not torch.equal(result[name], last[name])] == []


@pytest.mark.parametrize('more', ['', CAPTIONED], ids=['one modality', 'all of an item'])
def test_captioned_items_train(
    more: str, call_tool: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """One modality of the files in a batch, or all, of which an iteration takes one."""
    write_data(tmp_path)
    names = [path.name for path in sorted((tmp_path / 'sound').iterdir())]
    (tmp_path / 'sound').rename(tmp_path / 'audio')
    write(tmp_path, [item(n, ['red roof', f'a {n}'], audio_paths=[n]) for n in names])
    config = write_config(tmp_path, captioned=True, more=more)
    reset_mmengine_state()
    code, text = call_tool('train', config, '--work-dir', tmp_path / 'work')
    assert code == 0, text[-3000:]
    metrics = logged(tmp_path / 'work')
    assert 'modal_gap/discriminator_acc' in metrics and 'modal_gap/a_distance_text_audio' in metrics


def iterations_of_a_rank(rank: int, root: Path) -> dict[str, Any]:
    """An epoch: its modalities, its items, and the weights after it."""
    cfg = Config.fromfile(root / 'pretrain.py')
    init_default_scope('urbancross_mm')
    cfg.train_dataloader.batch_size = 2
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    torch.manual_seed(rank)
    model = MODEL_WRAPPERS.build(dict(type='TrainStepDataParallel', module=MODELS.build(cfg.model)))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    seen = []
    for data in loader:
        (modality,) = {name.partition('_')[0] for name in data['inputs']}
        seen.append((modality, [str(sample.to_dict()) for sample in data['data_samples']]))
        model.train_step(data, wrapper)
    return dict(seen=seen, weights=dict(model.module.named_parameters()))


def test_ranks_train_the_same_modality_on_other_items(tmp_path: Path) -> None:
    write_data(tmp_path)
    write_config(tmp_path)
    first, second = run_on_ranks(iterations_of_a_rank, tmp_path, tmp_path)
    assert [name for name, _ in first['seen']] == [name for name, _ in second['seen']]
    assert Counter(name for name, _ in first['seen']) == dict(image=3, text=3, audio=3)
    assert all(one != other for (_, one), (_, other) in zip(first['seen'], second['seen']))
    torch.testing.assert_close(first['weights'], second['weights'], rtol=0, atol=0)
