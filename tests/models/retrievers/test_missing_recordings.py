"""Captions and images without a recording: from the files to training, predict and recall."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from torch import Tensor

from tests.datasets.tiny import item, write
from tests.evaluation.metrics.test_pairs import recall
from tests.models.helpers import EMBED_DIM, TEXT_ENCODER, total
from tests.models.retrievers.test_mcrn import BACKBONE
from tests.ranks import run_on_ranks
from tests.recordings import record, tone
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.datasets.vocabulary import UNKNOWN
from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.models import MCRN, CrossModalRetriever
from urbancross_mm.utils.ids import stable_id

# What each image says, and the recording of each caption.
WORLD = {
    'a': (['red roof', 'a road', 'a wide road'], ['', 'a1.wav', 'a2.wav']),
    'b': (['a road', 'trees', 'many trees'], ['b0.wav', '', 'b2.wav']),
    'c': (['water', 'a field', 'red roof'], ['c.wav', 'c.wav', 'c.wav']),
    'd': (['trees', 'red roof', 'a lake'], ['', '', '']),
    'e': (['a lake', 'a tank', 'a pier'], ['', '', 'e2.wav']),
    'f': (['a ship', 'sand', 'a beach'], ['f0.wav', 'f1.wav', 'f2.wav']),
}
NAMES = sorted({name for _, names in WORLD.values() for name in names if name})
PAIRS = {'image-audio': 1.0, 'text-audio': 1.0}
SOUND = dict(type='BackboneEncoder', embed_dim=EMBED_DIM, probe_size=32, backbone=BACKBONE)
STAGE2 = dict(self_consistency=dict(), distillation=dict(), alignment=dict())
HEAD = dict(type='RetrievalHead', loss=dict(type='InfoNCELoss'), pairs=PAIRS)
MODELS = dict(
    MCRN=(
        MCRN,
        dict(head=dict(pairs=PAIRS), dropout=0.0, shared=dict(heads=2, hidden_dim=8), **STAGE2),
    ),
    CrossModalRetriever=(CrossModalRetriever, dict(head=HEAD)),
)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp('missing')
    for number, name in enumerate(NAMES):
        record(root / 'audio' / name, tone(300 + 400 * number, 0.1))
    items = []
    for name, (captions, audio) in WORLD.items():
        named = ['c.wav'] if name == 'c' else audio
        items.append(item(name, captions, **(dict(audio_paths=named) if any(named) else {})))
    words = sorted({word for item in items for text in item['captions'] for word in text.split()})
    vocab = root / 'words.json'
    vocab.write_text(json.dumps({word: n for n, word in enumerate([UNKNOWN, *words], start=1)}))
    tokenizer = dict(type='VocabTokenizer', vocab_file=str(vocab), max_length=8)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='LoadAudio'),
        dict(type='SpecAugment'),
        dict(type='TokenizeText', tokenizer=tokenizer),
        dict(type='PackRetrievalInputs'),
    ]
    return dict(write(root, items), pipeline=pipeline, audio_required=False)


def build(name: str) -> MCRN | CrossModalRetriever:
    torch.manual_seed(0)
    cls, options = MODELS[name]
    preprocessor = dict(
        type='urbancross_mm.RetrievalDataPreprocessor',
        stats='imagenet',
        spectrogram=dict(frames=64, num_mels=64, channels=3),
    )
    return cls(
        SOUND, TEXT_ENCODER, encoders=dict(audio=SOUND), data_preprocessor=preprocessor, **options
    )


@pytest.mark.parametrize('mode', ['each', 'sample', 'all', 'none'])
def test_every_item_says_what_it_has(tiny: dict[str, Any], mode: str) -> None:
    dataset = ImageTextDataset(**tiny, captions=mode)
    for index in range(len(dataset)):
        record = dataset[index]['data_samples']
        number = 0 if mode == 'none' else 3
        assert len(record.caption_audio_ids) == len(record.captions) == number
        assert set(record.audio_ids) <= set(record.caption_audio_ids) - {-1}
        if record.img_id == 'tiny/d' and number:
            assert record.audio_ids == [] and record.caption_audio_ids == [-1] * 3


@pytest.mark.parametrize('name', MODELS)
def test_a_training_step(tiny: dict[str, Any], name: str) -> None:
    dataset, model = ImageTextDataset(**tiny, captions='each'), build(name)
    batch = pseudo_collate([dataset[index] for index in range(len(dataset))])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    log = model.train_step(batch, OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))
    assert {'loss_image_audio', 'loss_text_audio'} <= set(log)
    assert all(value.isfinite() for value in log.values())
    changed = [key for key, value in model.state_dict().items() if not value.equal(before[key])]
    assert any(key.startswith('encoders.audio.') for key in changed)


@pytest.mark.parametrize('name', MODELS)
def test_losses_of_pairs_are_those_of_the_items_that_have_recordings(
    tiny: dict[str, Any], name: str
) -> None:
    dataset, model = ImageTextDataset(**tiny, captions='each'), build(name).eval()
    items = [dataset[index] for index in range(len(dataset))]
    spoken = [one for one in items if one['data_samples'].audio_ids]
    assert (len(items), len(spoken)) == (18, 11)
    for one in items:
        one['inputs'].pop('audio_masks')

    def losses(chosen: list[dict]) -> dict[str, Tensor]:
        return model(**model.data_preprocessor(pseudo_collate(chosen)), mode='loss')

    every, some = losses(items), losses(spoken)
    assert every['loss_image_text'].item() != pytest.approx(some['loss_image_text'].item(), 1e-4)
    pairs = [key for key in some if 'audio' in key]
    assert len(pairs) == (6 if name == 'MCRN' else 2)
    for key in pairs:
        torch.testing.assert_close(every[key], some[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', MODELS)
def test_a_batch_without_any_recording(tiny: dict[str, Any], name: str) -> None:
    """Other ranks wait for a gradient of every weight."""
    dataset, model = ImageTextDataset(**tiny, captions='each'), build(name)
    silent = [dataset[index] for index in (9, 10, 11, 12)]
    losses = model(**model.data_preprocessor(pseudo_collate(silent), True), mode='loss')
    assert losses['loss_image_audio'] == losses['loss_text_audio'] == 0
    total(losses).backward()
    weights = dict(model.encoders['audio'].named_parameters())
    assert weights and all(weight.grad is not None for weight in weights.values())
    assert all(not weight.grad.any() for weight in weights.values())


def validate(name: str, tiny: dict[str, Any], **part: int) -> tuple[dict[str, float], list]:
    """Recall over the images of one rank; the samples that predict left."""
    dataset = ImageTextDataset(**tiny, captions='all', test_mode=True)
    model, metric = build(name).eval(), RecallAtK(topk=(1, 3), pairs=list(PAIRS))
    rank, ranks = part.get('rank', 0), part.get('ranks', 1)
    # Image d alone is a batch without recordings.
    batches = [[0, 1, 2], [3], [4, 5]][rank::ranks]
    samples = []
    torch.manual_seed(0)
    for rows in batches:
        data = [dataset[row] for row in rows]
        for one in data:
            one['inputs'].pop('audio_masks')
        with torch.no_grad():
            samples += model.val_step(pseudo_collate(data))
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(dataset)), samples


@pytest.mark.parametrize('name', MODELS)
def test_recall_against_a_naive_protocol(
    tiny: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    where = 'urbancross_mm.evaluation.metrics.modality_pairs.print_log'
    monkeypatch.setattr(where, lambda message, **_: said.append(message))
    metrics, samples = validate(name, tiny)
    folder = Path(tiny['data_root'], 'audio')
    vectors = {
        item_id: row
        for sample in samples
        for kind in ('text', 'audio')
        for item_id, row in zip(sample.get(f'{kind}_ids'), sample.get(f'{kind}_embeds'))
    }
    texts = sorted({text for captions, _ in WORLD.values() for text in captions})
    images = torch.stack([sample.image_embeds for sample in samples])
    words = torch.stack([vectors[stable_id(text)] for text in texts])
    # A recording of all captions stands once for each, as a caption of two images does.
    entries = [(img, name) for img, (_, names) in WORLD.items() for name in names if name]
    own = torch.tensor([[img == other for other, _ in entries] for img in WORLD])
    pairs = {pair for texts, names in WORLD.values() for pair in zip(texts, names) if pair[1]}
    spoken = torch.tensor([[(text, name) in pairs for name in NAMES] for text in texts])
    sound = {file: vectors[stable_id(str(folder / file))] for file in NAMES}
    searched = {
        'i': (images, torch.stack([sound[file] for _, file in entries]), own),
        't': (words, torch.stack([sound[file] for file in NAMES]), spoken),
    }
    for k in (1, 3):
        for side, (left, right, relevant) in searched.items():
            found = metrics[f'retrieval/{side}2a_R@{k}'], metrics[f'retrieval/a2{side}_R@{k}']
            scores = left @ right.t()
            expected = recall(scores, relevant, k), recall(scores.t(), relevant.t(), k)
            assert found == pytest.approx(expected, abs=1e-3)
    assert metrics['retrieval/num_audios'] == len(NAMES) == 9
    assert said == [
        'RecallAtK, image-audio: 6 items of image (1 without a partner), '
        '11 items of audio (0 without a partner)',
        f'RecallAtK, text-audio: {len(texts)} items of text '
        f'({int((~spoken.any(dim=1)).sum())} without a partner), '
        '9 items of audio (0 without a partner)',
    ]


def on_rank(rank: int, tiny: dict[str, Any]) -> dict[str, float]:
    return validate('CrossModalRetriever', tiny, rank=rank, ranks=2)[0]


def test_two_ranks_of_which_one_hears_nothing_of_an_image(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    expected, _ = validate('CrossModalRetriever', tiny)
    for metrics in run_on_ranks(on_rank, tmp_path, tiny):
        assert metrics == pytest.approx(expected)
