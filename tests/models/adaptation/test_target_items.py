"""The whole target, encoded once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import UnpairedDataset
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import PlannedPairingLoss, PseudoPairLoss
from urbancross_mm.models.adaptation.prepare import prepare_losses
from urbancross_mm.models.adaptation.target_items import encode_target
from urbancross_mm.utils.batch_norm import equal_batches
from urbancross_mm.utils.ids import stable_id

TEXTS = ['red roof', 'a road', 'trees', 'water', 'a field']


class Encoder(nn.Module):
    """Features of an input, and what a projection makes of them."""

    def __init__(self, width: int, norm: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.projection = nn.Linear(width, 4)
        self.rows = 0

    def pooled(self, inputs: Tensor) -> Tensor:
        self.rows += len(inputs)
        return self.norm(inputs.float().flatten(1))


class Retriever(nn.Module):
    """Two towers without anything else."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = Encoder(3 * 8 * 8, norm), Encoder(4)

    def data_preprocessor(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        assert not training
        inputs = batch['inputs']
        return dict(
            inputs=dict(image=torch.stack(inputs['image']), text=torch.cat(inputs['text'])),
            data_samples=batch['data_samples'],
        )

    def encode(self, modality: str, inputs: Tensor) -> Tensor:
        encoder = getattr(self, f'{modality}_encoder')
        return normalize(encoder.projection(encoder.pooled(inputs)))

    def encode_image(self, image: Tensor) -> Tensor:
        return self.encode('image', image)


def unpaired(root: Path, items: list[dict[str, Any]]) -> UnpairedDataset:
    """A target with a pipeline that reads words."""
    words = {'<unk>': 1}
    for word in ' '.join(TEXTS).split():
        words.setdefault(word, len(words) + 1)
    (root / 'vocab.json').write_text(json.dumps(dict(word2idx=words)))
    tokenizer = dict(type='VocabTokenizer', vocab_file=str(root / 'vocab.json'), max_length=4)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='ResizeImage', scale=8),
        dict(type='TokenizeText', tokenizer=tokenizer),
        dict(type='PackRetrievalInputs'),
    ]
    return UnpairedDataset(**write(root, items), pipeline=pipeline)


@pytest.fixture
def dataset(tmp_path: Path) -> UnpairedDataset:
    items = [item(str(i), [TEXTS[i % 5], TEXTS[i * i % 5]]) for i in range(11)]
    return unpaired(tmp_path, items)


def test_every_image_and_every_distinct_text_is_encoded_once(dataset) -> None:
    retriever = Retriever().train()
    found = encode_target(retriever, dataset, batch_size=4)
    assert retriever.training
    assert found.img_ids == [f'tiny/{i}' for i in range(11)]
    assert [path.endswith(f'{i}.png') for i, path in enumerate(found.img_paths)] == [True] * 11
    assert found.image_keys.tolist() == [stable_id(img_id) for img_id in found.img_ids]
    assert sorted(found.texts) == sorted(set(dataset.pool))
    assert found.text_ids.tolist() == [stable_id(text) for text in found.texts]
    counts = Counter(dataset.pool)
    assert found.target.text_mass.tolist() == [counts[text] for text in found.texts]
    # Twice: for the embeddings, and for the features.
    assert retriever.image_encoder.rows == 2 * 11
    assert retriever.text_encoder.rows == 2 * len(found.texts)


def test_rows_are_what_the_encoders_give_alone(dataset) -> None:
    retriever = Retriever().eval()
    found = encode_target(retriever, dataset, batch_size=4)
    for row in (0, 5, 10):
        image = dataset[row]['inputs']['image'][None]
        torch.testing.assert_close(
            found.target.image_embeds[row], retriever.encode('image', image)[0]
        )
        feats = retriever.image_encoder.pooled(image)[0]
        torch.testing.assert_close(found.target.image_feats[row], feats)
    assert not found.target.text_embeds.requires_grad


@pytest.mark.parametrize('size', [1, 4, 64])
def test_the_size_of_a_batch_changes_nothing(dataset, size) -> None:
    retriever = Retriever()
    first, second = (encode_target(retriever, dataset, batch_size=n) for n in (size, 7))
    assert first.texts == second.texts
    for one, other in zip(first.target, second.target):
        torch.testing.assert_close(one, other)


def test_batch_norm_that_trains_takes_the_statistics_of_the_target_first(dataset) -> None:
    """The plan is made with the statistics of the training that follows."""
    retriever, start = Retriever(norm=True), Retriever(norm=True).eval()
    start.load_state_dict(retriever.state_dict())
    seen = []
    loss = PlannedPairingLoss()
    loss.set_target = lambda items, seed: seen.append(items)
    prepare_losses([loss], retriever, lambda _: start, dataset, None, 11, 0, 0)
    pixels = torch.stack([dataset[i]['inputs']['image'] for i in range(11)]).float().flatten(1)
    spread = pixels.var(dim=0).clamp(min=0) + 1e-5
    expected = (pixels - pixels.mean(dim=0)) / spread.sqrt()
    torch.testing.assert_close(seen[0].target.image_feats, expected, rtol=1e-3, atol=1e-3)
    # Neither the retriever nor its copy has moved.
    for model in (retriever, start):
        assert model.image_encoder.norm.running_mean.abs().sum() == 0


@pytest.mark.parametrize('size', [10, 5, 1])
def test_every_image_weighs_as_much_in_the_statistics(dataset, size) -> None:
    """11 images: the last batch is none of a single image, which BatchNorm1d refuses."""
    retriever, start = Retriever(norm=True), Retriever(norm=True).eval()
    seen = []
    loss = PlannedPairingLoss()
    loss.set_target = lambda items, seed: seen.append(items)
    norm = start.image_encoder.norm
    prepare_losses([loss], retriever, lambda _: start, dataset, None, size, 0, 0)
    pixels = torch.stack([dataset[i]['inputs']['image'] for i in range(11)]).float().flatten(1)
    batches = [pixels[rows] for rows in equal_batches(11, size)]
    mean = torch.stack([batch.mean(dim=0) for batch in batches]).mean(dim=0)
    spread = torch.stack([batch.var(dim=0) for batch in batches]).mean(dim=0) + norm.eps
    expected = (pixels - mean) / spread.sqrt()
    torch.testing.assert_close(seen[0].target.image_feats, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('size', [1, 3])
def test_texts_pass_in_batches_of_the_size(tmp_path, size) -> None:
    items = [item(str(i), TEXTS) for i in range(4)]
    retriever, sizes = Retriever(), []
    retriever.text_encoder.norm.register_forward_pre_hook(
        lambda _, args: sizes.append(len(args[0]))
    )
    texts = encode_target(retriever, unpaired(tmp_path, items), batch_size=size).texts
    assert sorted(texts) == sorted(TEXTS)
    assert max(sizes) <= size and sum(sizes) == 2 * len(TEXTS)


@pytest.mark.parametrize('training', [True, False])
def test_an_interrupted_pass_leaves_the_mode_as_it_was(dataset, training) -> None:
    retriever = Retriever().train(training)
    retriever.encode = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        encode_target(retriever, dataset)
    assert retriever.training == training


def test_a_loss_that_does_not_look_costs_nothing(dataset) -> None:
    """Not even the copy of the model."""
    copies = []
    summary = prepare_losses([PseudoPairLoss()], None, copies.append, dataset, None, 1, 0, 0)
    assert 'no loss' in summary and not copies


def test_a_target_of_three_images(tmp_path) -> None:
    items = [item(str(i), [TEXTS[i]]) for i in range(3)]
    dataset = unpaired(tmp_path, items)
    with pytest.raises(ValueError, match='has 3 images and 3 distinct texts'):
        encode_target(Retriever(), dataset)
