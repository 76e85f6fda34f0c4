"""The losses of MCRN and their factors: balanced for means, and as released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbancross_mm.models.build import build_part

# The factors keep the published balance at its batch of 64, whose hinge has 64 * 63 * 2 terms and
# the factor 0.5: 1000 / 4032, and for the distillation 1000 / 4032 / 512.
LOSSES: dict[str, dict[str, Any]] = dict(
    self_consistency=dict(type='ConsistencyLoss', loss_weight=0.25),
    distillation=dict(type='FeatureDistillationLoss', loss_weight=0.0005),
    alignment=dict(type='ConsistencyLoss', loss_weight=0.25),
)
RANKING: dict[str, Any] = dict(type='PairwiseRankingLoss', reduction='mean')
RELEASED_LOSSES: dict[str, dict[str, Any]] = dict(
    self_consistency=dict(type='ConsistencyLoss', loss_weight=1000.0),
    distillation=dict(
        type='FeatureDistillationLoss', detach=False, released=True, loss_weight=1000.0
    ),
    alignment=dict(type='ConsistencyLoss', loss_weight=1000.0),
)
RELEASED_RANKING: dict[str, Any] = dict(
    type='PairwiseRankingLoss', reduction='sum', loss_weight=0.5
)

# Stage 1. The distance keeps the published balance too: 0.01 times a sum over 5 kernels and 64 * 64
# pairs. The other factors are the published ones.
STAGE1: dict[str, dict[str, Any]] = dict(
    distance=dict(type='MKMMDLoss', loss_weight=0.01 * 5 * 64**2),
    consistency=dict(type='ConsistencyLoss'),
    length=dict(type='FeatureLengthLoss', loss_weight=0.01),
    confusion=dict(type='ModalConfusionLoss'),
)
RELEASED_STAGE1 = dict(STAGE1, distance=dict(type='MKMMDLoss', released=True, loss_weight=0.01))
CONTRASTIVE: dict[str, dict[str, Any]] = dict(
    contrastive=dict(type='InfoNCELoss'), confusion=dict(type='ModalConfusionLoss')
)


def ranking_loss(released: bool) -> dict[str, Any]:
    """The ranking loss of each pair of modalities.

    Args:
        released (bool): Half the sum of the hinge terms instead of their mean.

    Returns:
        dict: Config of a loss.
    """
    return dict(RELEASED_RANKING if released else RANKING)


def auxiliary_loss(name: str, options: Mapping[str, Any] | None, released: bool) -> Any:
    """Build one of the other losses.

    Args:
        name (str): ``'self_consistency'``, ``'distillation'`` or ``'alignment'``.
        options (Mapping | None): Arguments that differ from the defaults.
        released (bool): The defaults are those of the released code.

    Returns:
        nn.Module | None: None without options.
    """
    if options is None:
        return None
    defaults = RELEASED_LOSSES if released else LOSSES
    return build_part({**defaults[name], **options}, name)


def pretraining_losses(
    given: Mapping[str, Mapping[str, Any] | None], contrastive: bool, released: bool
) -> dict[str, Any]:
    """Build the losses of the encoders in the first stage.

    Args:
        given (Mapping): By name the arguments that differ from the defaults; None leaves one out.
        contrastive (bool): The variant with negatives.
        released (bool): The distance as released; no other differs.

    Returns:
        dict: Modules by name.

    Raises:
        ValueError: If a name is unknown, or both are asked for: nothing contrastive was released.
    """
    if contrastive and released:
        raise ValueError('released=True has no contrastive=True: choose one')
    defaults = CONTRASTIVE if contrastive else RELEASED_STAGE1 if released else STAGE1
    unknown = sorted(given.keys() - defaults.keys())
    if unknown:
        raise ValueError(f'losses must be among {sorted(defaults)}, got {unknown}')
    return {
        name: build_part({**default, **(given.get(name) or {})}, f'losses.{name}')
        for name, default in defaults.items()
        if given.get(name, {}) is not None
    }
