"""Which images of a target to label: those that say most about its plan."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from urbancross_mm.functional.anchors import find_anchors
from urbancross_mm.functional.groups import cluster
from urbancross_mm.functional.pairing_factors import CHUNK, Target
from urbancross_mm.functional.pairing_plan import PairingPlan, PlanOptions, make_plan
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.models.adaptation.prepare import with_target_statistics
from urbancross_mm.models.adaptation.target_items import encode_target
from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.config import nested_dicts

FEWEST_GROUPS = 30


class Proposal(NamedTuple):
    """An image to label: its id, its path, and the caption that the plan gives it."""

    img_id: str
    img_path: str
    guess: str


def propose_anchors(
    cfg: Config, checkpoint: str, count: int, device: str | None = None, seed: int = 0
) -> list[Proposal]:
    """Propose images of the target of an adaptation. Labels that it has already are respected.

    Args:
        cfg (Config): Of an adaptation.
        checkpoint (str): Of the source model, or its work directory.
        count (int): How many.
        device (str, optional): Defaults to the GPU if there is one.
        seed (int): Of plan and groups. Defaults to 0.

    Returns:
        list[Proposal]: The most useful one first; fewer if the target is small.

    Raises:
        FileNotFoundError: If data or checkpoint are missing.
        ValueError: If the config adapts to no target.
    """
    parts = nested_dicts(cfg.get('train_dataloader'), 'UnpairedDataset')
    settings = next(parts, None)
    if settings is None or not cfg.model.get('adaptation'):
        raise ValueError(f'{cfg.filename} adapts to no target: give the config of an adaptation')
    loss = next(nested_dicts(cfg.model.adaptation, 'PlannedPairingLoss'), {})
    dataset = DATASETS.build(settings)
    plain = Config(dict(cfg.to_dict(), model=dict(cfg.model.to_dict(), adaptation=None)))
    embedder = Embedder.from_config(plain, checkpoint, device=device)
    pipeline = list(embedder.pipeline.transforms)
    start = with_target_statistics(embedder.model, dataset, pipeline)
    items = encode_target(start, dataset, pipeline)
    anchors = find_anchors(dataset.labels, items.img_ids, items.texts)
    options = PlanOptions.of(loss.get('plan') or {})
    plan = make_plan(items.target, options, anchors, items.texts, seed)
    known = torch.tensor([img_id in dataset.labels for img_id in items.img_ids])
    rows = choose_images(items.target, plan, count, known, seed)
    guesses = plan.density(rows, torch.arange(len(items.texts))).argmax(dim=1)
    return [
        Proposal(items.img_ids[row], items.img_paths[row], items.texts[guess])
        for row, guess in zip(rows.tolist(), guesses.tolist())
    ]


def choose_images(
    target: Target, plan: PairingPlan, count: int, known: Tensor, seed: int = 0
) -> Tensor:
    """The images in the middle of the groups that a plan is least sure of.

    Images and texts are grouped by their features. The entropy of the plan's mass of a group over
    the groups of texts, times the size of the group, says what a label would settle.

    Args:
        target (Target): The items.
        plan (PairingPlan): Of these items.
        count (int): How many images.
        known (Tensor): Which images have a label already.
        seed (int): Of the groups. Defaults to 0.

    Shape:
        known ``(N,)`` bool; output ``(count,)``, less if there are fewer groups.

    Returns:
        Tensor: Rows of images, the most useful first.
    """
    text_share = target.text_mass / target.text_mass.sum()
    images = normalize(target.image_feats - target.image_feats.mean(dim=0), dim=1)
    texts = normalize(target.text_feats - text_share @ target.text_feats, dim=1)
    groups = max(2 * count, FEWEST_GROUPS)
    centers = cluster(images, groups, seed)
    cosines = images @ centers.t()
    members = one_hot(cosines.argmax(dim=1), len(centers))
    text_centers = cluster(texts, groups, seed)
    text_members = one_hot((texts @ text_centers.t()).argmax(dim=1), len(text_centers)).to(texts)
    mass = torch.zeros(len(centers), len(text_centers))
    columns = torch.arange(len(texts))
    for rows in torch.arange(len(images)).split(CHUNK):
        shares = plan.density(rows, columns) * text_share @ text_members
        mass += members[rows].to(shares).t() @ shares
    parts = mass / mass.sum(dim=1, keepdim=True).clamp(min=1e-12)
    entropy = -(parts * parts.clamp(min=1e-12).log()).sum(dim=1)
    # A group with a label has its answer, and an empty one asks nothing.
    asked = entropy * members.sum(dim=0)
    asked[members[known].any(dim=0)] = 0
    middles = cosines.masked_fill(members == 0, -2).argmax(dim=0)
    order = asked.argsort(descending=True)
    return middles[order[asked[order] > 0][:count]]
