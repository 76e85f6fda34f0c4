"""Two optimizers: one for a discriminator, one for what it judges."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapperDict
from torch import nn

from urbancross_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

JUDGE, JUDGED = 'discriminator', 'encoders'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class AdversarialOptimWrapperConstructor:
    """An optimizer for the part ``discriminator`` of a model, another for all other parts.

    Args:
        optim_wrapper_cfg (dict): Two configs of an ``OptimWrapper``: ``encoders`` and
            ``discriminator``.
        paramwise_cfg (dict, optional): That of mmengine, for both; names are those of the whole
            model. Defaults to None.

    Raises:
        ValueError: If the configs have other names.

    Examples:
        >>> optim_wrapper = dict(
        ...     constructor='AdversarialOptimWrapperConstructor',
        ...     encoders=dict(optimizer=dict(type='Adam', lr=2e-4)),
        ...     discriminator=dict(optimizer=dict(type='Adam', lr=2e-4)))
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        if sorted(optim_wrapper_cfg) != [JUDGE, JUDGED]:
            raise ValueError(
                f"optim_wrapper needs '{JUDGED}' and '{JUDGE}', got {sorted(optim_wrapper_cfg)}"
            )
        self.configs = optim_wrapper_cfg
        self.paramwise_cfg = paramwise_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build both.

        Args:
            model (nn.Module): With a child ``discriminator``.

        Returns:
            OptimWrapperDict: ``encoders`` and ``discriminator``.

        Raises:
            ValueError: If the model has no discriminator.
        """
        model = getattr(model, 'module', model)  # of several processes
        children = dict(model.named_children())
        if JUDGE not in children:
            raise ValueError(f'{type(model).__name__} has no part {JUDGE!r} to be trained apart')
        parts = {JUDGE: {JUDGE: children.pop(JUDGE)}, JUDGED: children}
        return OptimWrapperDict(
            **{
                key: DefaultOptimWrapperConstructor(cfg, self.paramwise_cfg)(
                    nn.ModuleDict(parts[key])
                )
                for key, cfg in self.configs.items()
            }
        )
