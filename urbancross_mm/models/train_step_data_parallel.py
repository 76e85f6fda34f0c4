"""Several processes for a model whose step is more than one loss."""

from __future__ import annotations

from typing import Any

from torch import nn

from urbancross_mm.registry import MODEL_WRAPPERS
from urbancross_mm.utils.dist import copy_from_first


@MODEL_WRAPPERS.register_module()
class TrainStepDataParallel(nn.Module):
    """Hands every step to the model, which averages the gradients itself.

    DistributedDataParallel averages those of one backward pass of all weights; a model that trains
    its parts in turn (:class:`MCRNPretrainer`) has none. All ranks start with the weights of the
    first, and after every step have its buffers, the running statistics of BatchNorm among them:
    what is validated is what is saved.

    Args:
        module (nn.Module): The model, on its device.

    Examples:
        >>> model_wrapper_cfg = dict(type='TrainStepDataParallel')
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module: Any = module
        copy_from_first((*module.parameters(), *module.buffers()))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns.

        Args:
            *args (Any): Of the model.
            **kwargs (Any): Of the model.

        Returns:
            Any: As it came.
        """
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Any]:
        """A step of the model.

        Args:
            data (Any): A batch of this rank.
            optim_wrapper (OptimWrapper): What the model needs.

        Returns:
            dict: What is logged.
        """
        log = self.module.train_step(data, optim_wrapper)
        copy_from_first(self.module.buffers())
        return log

    def val_step(self, data: Any) -> list[Any]:
        """Predictions of the model.

        Args:
            data (Any): A batch of this rank.

        Returns:
            list: Filled data samples.
        """
        return self.module.val_step(data)

    def test_step(self, data: Any) -> list[Any]:
        """Predictions of the model.

        Args:
            data (Any): A batch of this rank.

        Returns:
            list: Filled data samples.
        """
        return self.module.test_step(data)
