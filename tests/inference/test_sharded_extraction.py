"""Shards hold what one file holds, however many processes made them and however often."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from tests.runs import CONFIGS, ROOT, reset_mmengine_state
from urbancross_mm.apis import load_config
from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.datasets.feature_shards import shard_path
from urbancross_mm.inference import sharded_extraction
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.feature_extraction import config_items, extract_features
from urbancross_mm.inference.sharded_extraction import ShardedExtraction
from urbancross_mm.utils.setup_env import LaunchedRank

CONFIG = CONFIGS / 'baselines/mobilenet-v2_minilm_ucm.py'


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    reset_mmengine_state()
    return load_config(CONFIG, sample=True)


@pytest.fixture
def embedder(cfg: Config) -> Embedder:
    return Embedder.from_config(cfg, device='cpu', batch_size=7)


def extract(cfg: Config, embedder: Embedder, out: Path, size: int = 10, **options):
    return ShardedExtraction(cfg, embedder, out, shard_size=size, **options).run()


def test_any_number_of_processes_gives_the_features_of_one_file(
    cfg: Config, embedder: Embedder, tmp_path: Path
) -> None:
    extract_features(cfg, tmp_path / 'f.npz', device='cpu', batch_size=7)
    single = open_features(str(tmp_path / 'f.npz'))
    # Shards smaller than a batch, of one batch and larger; processes that get no shard.
    for size, ranks in ((3, 1), (10, 3), (1000, 2)):
        out = tmp_path / f'shards_{size}'
        done = [
            extract(cfg, embedder, out, size, process=LaunchedRank(rank, ranks))
            for rank in range(ranks)
        ]
        assert sum(part.images for part in done) == len(single.image_feats)
        assert sum(part.texts for part in done) == len(single.text_feats)
        assert done[-1].missing == 0 and done[0].total == done[-1].total
        sharded = open_features(str(out))
        assert sharded.image_ids == single.image_ids
        np.testing.assert_allclose(sharded.image_feats, single.image_feats, atol=1e-5)
        np.testing.assert_allclose(sharded.text_feats, single.text_feats, atol=1e-5)
        assert sharded.metadata['weights'] == single.metadata['weights']
    images = config_items(cfg)[0]
    for img_id, path in images.items():
        sharded.check_image(img_id, path)


def test_a_stop_loses_only_the_shard_in_work(
    cfg: Config, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / 'shards', sharded_extraction.write_shard

    def stopped(path: Path, *arguments) -> None:
        if path.name == 'images-00002.parquet':
            raise KeyboardInterrupt
        write(path, *arguments)

    monkeypatch.setattr(sharded_extraction, 'write_shard', stopped)
    with pytest.raises(KeyboardInterrupt):
        extract(cfg, embedder, out)
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob('*.parquet')}
    assert sorted(kept) == ['images-00000.parquet', 'images-00001.parquet']
    # One shard is damaged afterwards, as by a full disk.
    shard_path(out, 'images', 1).write_bytes(b'PAR1')
    monkeypatch.setattr(sharded_extraction, 'write_shard', write)
    summary = extract(cfg, embedder, out)
    assert summary.images == len(config_items(cfg)[0]) - 10 and summary.missing == 0
    first = shard_path(out, 'images', 0)
    assert first.stat().st_mtime_ns == kept[first.name]
    assert extract(cfg, embedder, out)[:3] == (0, 0, 0)
    extract(cfg, embedder, tmp_path / 'fresh')
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / 'fresh' / path.name).read_bytes()


def test_other_weights_do_not_go_on(cfg: Config, embedder: Embedder, tmp_path: Path) -> None:
    extract(cfg, embedder, tmp_path)
    next(embedder.model.image_encoder.parameters()).data.add_(1)
    with pytest.raises(ValueError, match=f'{tmp_path} holds features of another run .*weights'):
        extract(cfg, embedder, tmp_path)
    with pytest.raises(ValueError, match='shard_size 10 before, 20 now'):
        extract(cfg, embedder, tmp_path, 20)
    assert extract(cfg, embedder, tmp_path, force=True).images == len(config_items(cfg)[0])
    open_features(str(tmp_path))


def test_bad_and_changed_images(cfg: Config, embedder: Embedder, tmp_path: Path) -> None:
    out = tmp_path / 'shards'
    images = config_items(cfg)[0]
    img_id, path = list(images.items())[12]
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:100])
    try:
        with pytest.raises(ValueError, match=f'{path}.*skip_bad'):
            extract(cfg, embedder, out)
        summary = extract(cfg, embedder, out, skip_bad=True)
        assert summary.skipped == 1 and summary.missing == 0
        assert not open_features(str(out)).has_image(img_id)
    finally:
        Path(path).write_bytes(whole)
    assert extract(cfg, embedder, out).images == 0
    assert extract(cfg, embedder, out, force=True).images == 10  # of the shard that lacks it
    assert open_features(str(out)).has_image(img_id)
    assert extract(cfg, embedder, out, force=True).images == 0
    with pytest.raises(ValueError, match='shard_size must be at least 1, got 0'):
        extract(cfg, embedder, out, 0)


def test_the_tool_under_torchrun(in_sample_dir: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--nproc-per-node=2'),
        f'--master-port={20000 + os.getpid() % 20000}',
        *(str(ROOT / 'tools/misc/extract_features.py'), str(CONFIG), '--sample'),
        *('--out', str(tmp_path / 'features'), '--shard-size', '16'),
    ]
    env = dict(os.environ, OMP_NUM_THREADS='1')
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'rank 0: wrote' in done.stdout and 'rank 1: wrote' in done.stdout
    assert 'image/s' in done.stderr
    assert len(open_features(str(tmp_path / 'features')).image_feats)
