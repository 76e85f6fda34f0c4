"""Linear heads on frozen features of two datasets: a source model and its adaptation in seconds."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from urbancross_mm.datasets.feature_file import FeatureFile
from urbancross_mm.functional.contrastive import info_nce
from urbancross_mm.functional.ranking import bidirectional_ranks, recall_at_k
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.functional.transport import sinkhorn
from urbancross_mm.inference.trust.target_view import TargetView

BATCH = 128


class Domain(NamedTuple):
    """Images, the rows of their captions, classes, and the features of all captions."""

    images: Tensor
    captions: list[list[int]]
    labels: np.ndarray
    texts: Tensor

    def take(self, rows: np.ndarray) -> Domain:
        """Some of the images."""
        captions = [self.captions[row] for row in rows]
        return Domain(self.images[rows], captions, self.labels[rows], self.texts)

    def of(self, classes: set[str]) -> Domain:
        """The images of some classes."""
        return self.take(np.flatnonzero([label in classes for label in self.labels]))


def pick(domain: Domain, count: int, draw: np.random.Generator) -> Domain:
    """Some images at random."""
    return domain.take(draw.permutation(len(domain.images))[:count])


def domain_pairs(rsicd: dict, ucm: dict) -> dict[str, tuple[dict, dict, dict]]:
    """Source, target, and another place by name: both datasets and halves of their classes."""

    def half(dataset: dict, number: int) -> dict:
        classes = set(sorted(set(dataset['train'].labels))[number::2])
        return {split: domain.of(classes) for split, domain in dataset.items()}

    r, u = [half(rsicd, number) for number in (0, 1)], [half(ucm, number) for number in (0, 1)]
    return {
        'rsicd-ucm': (rsicd, ucm, r[0]),
        'ucm-rsicd': (ucm, rsicd, u[0]),
        'rsicd0-ucm': (r[0], ucm, r[1]),
        'rsicd1-ucm': (r[1], ucm, r[0]),
        'rsicd-ucm0': (rsicd, u[0], u[1]),
        'rsicd-ucm1': (rsicd, u[1], u[0]),
        'ucm-rsicd0': (ucm, r[0], r[1]),
        'ucm-rsicd1': (ucm, r[1], r[0]),
        'ucm0-rsicd': (u[0], rsicd, u[1]),
        'ucm1-rsicd': (u[1], rsicd, u[0]),
        'rsicd0-rsicd1': (r[0], r[1], u[0]),
        'rsicd1-rsicd0': (r[1], r[0], u[1]),
        'ucm0-ucm1': (u[0], u[1], r[0]),
        'ucm1-ucm0': (u[1], u[0], r[1]),
    }


class Heads(nn.Module):
    """One linear map per modality."""

    def __init__(self, image: int, text: int, width: int = 256) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(image, width), nn.Linear(text, width)
        self.drop = nn.Dropout(0.3)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of both."""
        return normalize(self.image(self.drop(images))), normalize(self.text(self.drop(texts)))


def load(root: Path, *names: str, components: int = 256) -> list[dict[str, Domain]]:
    """Training and held-out images of datasets, in the principal components of the first."""
    files = [FeatureFile(str(root / name / 'features.npz')) for name in names]
    bases = [
        principal(torch.tensor(feats), components)
        for feats in (files[0].image_feats, files[0].text_feats)
    ]
    return [_load(root / name, file, *bases) for name, file in zip(names, files)]


def principal(feats: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Mean and principal directions of features."""
    mean = feats.mean(dim=0)
    covariance = (feats - mean).t() @ (feats - mean)
    return mean, torch.linalg.eigh(covariance)[1][:, -components:]


def _load(
    folder: Path, features: FeatureFile, image: tuple[Tensor, Tensor], text: tuple[Tensor, Tensor]
) -> dict[str, Domain]:
    splits = {}
    for split in ('train', 'val', 'test'):
        path = folder / 'annotations' / f'{folder.name}_{split}.json'
        items = json.loads(path.read_text())['data_list']
        splits[split] = [item for item in items if item.get('label')]
    texts = sorted({text for items in splits.values() for i in items for text in i['captions']})
    row_of = {text: row for row, text in enumerate(texts)}
    text_feats = (torch.tensor(features.texts(texts)) - text[0]) @ text[1]

    def domain(items: list[dict]) -> Domain:
        images = torch.tensor(np.stack([features.image(item['img_id']) for item in items]))
        return Domain(
            (images - image[0]) @ image[1],
            [[row_of[text] for text in item['captions']] for item in items],
            np.array([item['label'] for item in items]),
            text_feats,
        )

    return dict(train=domain(splits['train']), held_out=domain(splits['val'] + splits['test']))


def pair_loss(model: Heads, source: Domain, draw: np.random.Generator) -> Tensor:
    """InfoNCE on a batch of the source."""
    rows = draw.choice(len(source.images), min(BATCH, len(source.images)), replace=False)
    captions = torch.tensor([draw.choice(source.captions[row]) for row in rows])
    embeds = model(source.images[rows], source.texts[captions])
    positive = captions[:, None] == captions
    return info_nce(*embeds, model.scale.exp().clamp(max=100), positive)


def train_source(source: Domain, seed: int, epochs: int = 40) -> Heads:
    """Learn the source's pairs."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    model = Heads(source.images.shape[1], source.texts.shape[1])
    steps = epochs * math.ceil(len(source.images) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        pair_loss(model, source, draw).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def adapt(
    model: Heads, source: Domain, found: TargetView, method: str, steps: int, rate: float, seed: int
) -> Heads:
    """Train on by the source's pairs and the pairing of a method."""
    model = copy.deepcopy(model).train()
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    images, texts = found.target.image_feats, found.target.text_feats
    share = found.mass.double().numpy()
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        i = torch.tensor(draw.choice(len(images), min(BATCH, len(images)), replace=False))
        t = torch.tensor(draw.choice(len(texts), BATCH, p=share / share.sum()))
        image_embeds, text_embeds = model(images[i], texts[t])
        scores = image_embeds @ text_embeds.t()
        pairing = pair(method, scores.detach(), found, i, t)
        loss = sum(
            soft_cross_entropy(logits / 0.07, mass)
            for logits, mass in ((scores, pairing), (scores.t(), pairing.t()))
        )
        optimizer.zero_grad()
        (1.5 * loss + pair_loss(model, source, draw)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def pair(method: str, scores: Tensor, found: TargetView, i: Tensor, t: Tensor) -> Tensor:
    """What a method takes for pairs in a batch."""
    if method == 'plan':
        return found.plan.density(i, t)
    if method == 'live':
        return sinkhorn(scores, 0.05, 30)
    first, second = scores == scores.amax(1, True), scores == scores.amax(0, True)
    return (first & second).float()  # pseudo-pairs: mutual nearest neighbors


def soft_cross_entropy(logits: Tensor, mass: Tensor) -> Tensor:
    """Of the rows that have a mass."""
    total = mass.sum(dim=1)
    loss = -(mass / total.clamp(min=1e-30)[:, None] * logits.log_softmax(dim=1)).sum(dim=1)
    return loss[total > 0].mean() if (total > 0).any() else logits.sum() * 0


@torch.no_grad()
def mean_recall(model: Heads, domain: Domain) -> float:
    """MR in percent."""
    owners = torch.tensor([n for n, own in enumerate(domain.captions) for _ in own])
    rows = [row for own in domain.captions for row in own]
    images, texts = model(domain.images, domain.texts[rows])
    ranks = bidirectional_ranks(images, texts, owners, torch.arange(len(rows)))
    return sum(recall_at_k(side, k) for side in ranks for k in (1, 5, 10)) / 6
