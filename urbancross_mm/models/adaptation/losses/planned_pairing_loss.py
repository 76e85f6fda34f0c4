"""A pairing loss whose pairs were settled before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.functional.anchors import find_anchors
from urbancross_mm.functional.klot import klot
from urbancross_mm.functional.pairing_plan import PairingPlan, PlanOptions, make_plan
from urbancross_mm.functional.plan_digest import SIZE, plan_digest
from urbancross_mm.models.adaptation.losses.pairing_loss import BasePairingLoss, Items
from urbancross_mm.models.adaptation.target_items import TargetItems
from urbancross_mm.registry import MODELS

OBJECTIVES = ('cross-entropy', 'klot')


@MODELS.register_module()
class PlannedPairingLoss(BasePairingLoss):
    """Contrastive loss towards one transport plan over the whole target.

    The plan is made once, from the model that training starts from
    (:func:`urbancross_mm.functional.pairing_plan.make_plan`): over all images and captions, with
    what is alike within each modality. Made at every step from a batch and a memory, as
    :class:`OptimalTransportPairingLoss` does, it names groups of images wrongly more often.

    ``TargetPlanHook`` makes the plan before training. It is not in the checkpoints: a resumed run
    makes the same one again, from the same starting checkpoint. ``plan_digest`` is there, by which
    the hook sees whether it is the same.

    Args:
        plan (Mapping, optional): Options of
            :class:`urbancross_mm.functional.pairing_plan.PlanOptions`, such as
            ``dict(matched=0.9)``. Defaults to None.
        objective (str): 'cross-entropy' of each item's texts; 'klot', the divergence from the
            plan that the cosines of the batch and the memory give. Defaults to 'cross-entropy'.
        min_items (int): As of :class:`BasePairingLoss`. Defaults to 0: nothing has to wait.
        **kwargs: Of :class:`BasePairingLoss`.

    Raises:
        ValueError: If the objective or an option of the plan is unknown or out of range.

    Reference:
        KLOT: SOTAlign (https://arxiv.org/abs/2602.23353).
    """

    wants_target = True

    def __init__(
        self,
        plan: Mapping[str, Any] | None = None,
        objective: str = 'cross-entropy',
        min_items: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(min_items=min_items, **kwargs)
        if objective not in OBJECTIVES:
            raise ValueError(f'objective must be one of {OBJECTIVES}, got {objective!r}')
        self.objective = objective
        self.options = PlanOptions.of(plan or {})
        self._plan: _Lookup | None = None
        self.register_buffer('plan_digest', torch.zeros(SIZE, dtype=torch.int64))

    def set_target(self, items: TargetItems, seed: int = 0) -> PairingPlan:
        """Make the plan.

        Args:
            items (TargetItems): The target, encoded by the model before training.
            seed (int): Of the items that the plan is solved on. Defaults to 0.

        Returns:
            PairingPlan: The plan.
        """
        anchors = find_anchors(items.labels, items.img_ids, items.texts)
        plan = make_plan(items.target, self.options, anchors, items.texts, seed)
        self._plan = _Lookup(plan, items.image_keys, items.text_ids)
        self.plan_digest.copy_(
            plan_digest(items.target, items.image_keys, items.text_ids, items.labels)
        )
        return plan

    def distance(self, logits: Tensor, pairs: Tensor) -> Tensor:
        """By the objective."""
        if self.objective == 'klot':
            return klot(logits, pairs, eps=1.0)
        return super().distance(logits, pairs)

    def pairing(self, images: Items, texts: Items) -> Tensor:
        """The part of the plan that these items have."""
        if self._plan is None:
            raise RuntimeError(
                'PlannedPairingLoss has no plan: add dict(type="TargetPlanHook") to custom_hooks'
            )
        return self._plan.density(images.ids, texts.ids)


class _Lookup:
    """A plan by the ids of its items."""

    def __init__(self, plan: PairingPlan, image_keys: Tensor, text_ids: Tensor) -> None:
        self.plan = plan
        self.ids = (image_keys.sort(), text_ids.sort())

    def density(self, image_ids: Tensor, text_ids: Tensor) -> Tensor:
        """How much more than by chance the texts belong to the images."""
        if self.plan.images.device != image_ids.device:
            self.plan = PairingPlan(*(part.to(image_ids.device) for part in self.plan))
            self.ids = tuple(_to(found, image_ids.device) for found in self.ids)
        images, texts = (_rows(known, ids) for known, ids in zip(self.ids, (image_ids, text_ids)))
        return self.plan.density(images, texts)


def _to(found: Any, device: torch.device) -> Any:
    return type(found)([part.to(device) for part in found])


def _rows(known: Any, ids: Tensor) -> Tensor:
    """Rows of sorted ids."""
    places = torch.searchsorted(known.values, ids).clamp(max=len(known.values) - 1)
    if not torch.equal(known.values[places], ids):
        missing = ids[known.values[places] != ids]
        raise ValueError(
            f'{len(missing)} items of the batch are not in the plan of the target, such as the '
            f'id {int(missing[0])}: the training set is another one than when the plan was made'
        )
    return known.indices[places]
