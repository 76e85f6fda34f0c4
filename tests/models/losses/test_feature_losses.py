"""The classes hand their options on, weigh, and stay in full precision."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional import alignment, modal
from urbancross_mm.registry import MODELS

FIRST, SECOND = torch.randn(6, 4), torch.randn(6, 4) + 0.5


def wrong(logits: Tensor) -> Tensor:
    return modal.confusion(logits, 1, torch.Generator().manual_seed(5))


CASES: list[tuple[dict, tuple, Callable]] = [
    (dict(type='ConsistencyLoss'), (FIRST, SECOND), modal.consistency),
    (dict(type='FeatureLengthLoss'), (FIRST,), modal.length_deviation),
    (dict(type='MKMMDLoss'), (FIRST, SECOND), partial(alignment.mk_mmd, paired=True)),
    (dict(type='MKMMDLoss', released=True), (FIRST, SECOND), alignment.summed_mk_mmd),
    (dict(type='FeatureDistillationLoss'), (FIRST, SECOND), modal.feature_distillation),
    (
        dict(type='FeatureDistillationLoss', temperature=0.7, detach=False, released=True),
        (FIRST, SECOND),
        lambda s, t: modal.feature_distillation(s, t, 0.7, detach=False, released=True),
    ),
]
IDS = [f'{cfg["type"]}{"-released" if cfg.get("released") else ""}' for cfg, _, _ in CASES]


@pytest.mark.parametrize('cfg, feats, function', CASES, ids=IDS)
def test_the_weighted_function(cfg: dict, feats: tuple, function: Callable) -> None:
    loss = MODELS.build({**cfg, 'loss_weight': 3.0})
    torch.testing.assert_close(loss(*feats), 3 * function(*feats))


@pytest.mark.parametrize('cfg, feats, function', CASES, ids=IDS)
def test_autocast_changes_nothing(cfg: dict, feats: tuple, function: Callable) -> None:
    loss = MODELS.build(cfg)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(loss(*feats), loss(*feats).float())
        torch.testing.assert_close(loss(*feats), function(*feats))


def test_confusion_draws_from_the_generator_that_it_is_given() -> None:
    loss = MODELS.build(dict(type='ModalConfusionLoss', loss_weight=0.5))
    generator = torch.Generator().manual_seed(5)
    torch.testing.assert_close(loss(FIRST, 1, generator), 0.5 * wrong(FIRST))


def test_whether_the_teacher_learns_is_of_the_config() -> None:
    for detach in (True, False):
        teacher = SECOND.clone().requires_grad_()
        loss = MODELS.build(dict(type='FeatureDistillationLoss', detach=detach))
        student = FIRST.clone().requires_grad_()
        loss(student, teacher).backward()
        assert (teacher.grad is None) == detach and student.grad.abs().sum() > 0
