"""Spoken queries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.recordings import record, tone
from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.datasets import LoadAudio
from urbancross_mm.inference.image_files import read_query
from urbancross_mm.models import LogMelSpectrogram

CONFIG = CONFIGS / 'urbancross_finland_no-segments.py'
HEARS = dict(
    type='BackboneEncoder',
    image_channels=3,
    in_channels=32,
    embed_dim=256,
    backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4),
)


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    """A retriever that hears, and a test pipeline that reads recordings."""
    reset_mmengine_state()
    cfg = load_config(CONFIG, sample=True)
    cfg.model.encoders = dict(audio=HEARS)
    cfg.model.data_preprocessor.spectrogram = dict(frames=64)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='LoadAudio'))
    return cfg


def test_a_recording_finds_what_its_vector_is_nearest_to(cfg: Config, tmp_path: Path) -> None:
    inferencer = RetrievalInferencer(cfg, device='cpu')
    folder = Path('data/sample/urbancross/Finland/images')
    gallery = inferencer.build_index(sorted(folder.glob('*.jpg'))[:6], progress=False)
    path = record(tmp_path / 'question.wav', tone(700))
    hits = inferencer.search(audio=path, topk=6)
    waveform = torch.from_numpy(LoadAudio()(dict(audio_paths=[str(path)]))['audio'][0])
    spectrogram = LogMelSpectrogram(frames=64)(waveform[None], torch.tensor([len(waveform)]))
    model = inferencer.embedder.model
    with torch.no_grad():
        vector = torch.nn.functional.normalize(model.encoders['audio'](spectrogram), dim=1)
    expected = (vector @ gallery.embeds.T)[0].sort(descending=True).values
    torch.testing.assert_close(torch.tensor([hit['score'] for hit in hits]), expected)
    other = inferencer.search(audio=record(tmp_path / 'other.flac', tone(3000)), topk=6)
    assert [hit['score'] for hit in other] != [hit['score'] for hit in hits]


def test_recordings_are_encoded_a_batch_at_a_time(cfg: Config, tmp_path: Path) -> None:
    paths = [record(tmp_path / f'{k}.wav', tone(300 * k + 300)) for k in range(5)]
    embedder = RetrievalInferencer(cfg, device='cpu', batch_size=2).embedder
    rows = embedder.encode_audio(paths)
    torch.testing.assert_close(rows, torch.cat([embedder.encode_audio([p]) for p in paths]))
    assert len(embedder.encode_audio([])) == 0


def test_exactly_one_query(cfg: Config, tmp_path: Path) -> None:
    inferencer = RetrievalInferencer(cfg, device='cpu')
    folder = Path('data/sample/urbancross/Finland/images')
    inferencer.build_index(sorted(folder.glob('*.jpg'))[:2], progress=False)
    with pytest.raises(ValueError, match="'a pond'.*'b.wav'"):
        inferencer.search('a pond', audio='b.wav')
    with pytest.raises(FileNotFoundError, match='none.wav'):
        inferencer.search(audio=tmp_path / 'none.wav')


def test_a_model_without_an_audio_encoder_cannot_hear(in_sample_dir: Path, tmp_path: Path) -> None:
    reset_mmengine_state()
    inferencer = RetrievalInferencer(load_config(CONFIG, sample=True), device='cpu')
    with pytest.raises(ValueError, match='CrossModalRetriever.*audio encoder'):
        inferencer.embedder.encode_audio([record(tmp_path / 'question.wav', tone(700))])


def test_a_recording_is_a_query_by_its_path(tmp_path: Path) -> None:
    path = record(tmp_path / 'question.wav', tone(700))
    assert read_query(str(path)) == path
    with pytest.raises(FileNotFoundError, match='missing.ogg'):
        read_query('missing.ogg')
