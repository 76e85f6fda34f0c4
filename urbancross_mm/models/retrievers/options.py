"""What every retriever takes besides the arguments of its class."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from urbancross_mm.models.activation_checkpointing import checkpoint_blocks
from urbancross_mm.models.adaptation.adaptation import DomainAdaptation
from urbancross_mm.models.finetuning import (
    apply_finetuning,
    fit_state_dict,
    keep_frozen_in_eval,
    layer_depths,
)
from urbancross_mm.models.gradient_cache import encode_in_chunks
from urbancross_mm.utils.batch_norm import batch_norms
from urbancross_mm.utils.state_dicts import describe_initialization, describe_trained

# Depth of what is in no encoder, for the layer-wise rates of mmpretrain: the top.
_TOP = (1, 2)


class _RetrieverMeta(ABCMeta):
    """Completes a built retriever, whatever its class takes and builds."""

    def __call__(
        cls,
        *args: Any,
        adaptation: Mapping[str, Any] | None = None,
        finetune: Mapping[str, Any] | None = None,
        gradient_cache: int | None = None,
        activation_checkpointing: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Build the retriever, then its options; an adaptation needs the embedding width."""
        retriever = super().__call__(*args, **kwargs)
        if finetune is not None:
            retriever.add_finetuning(finetune)
        if activation_checkpointing is not None:
            checkpoint_blocks(retriever, activation_checkpointing)
        if gradient_cache is not None:
            retriever.set_gradient_cache(gradient_cache)
        if adaptation is not None:
            retriever.add_adaptation(adaptation)
        return retriever


class RetrieverOptions(BaseModel, metaclass=_RetrieverMeta):
    """Adaptation, fine-tuning and gradient caching of any retriever.

    Args:
        data_preprocessor (dict, optional): Config of the preprocessor. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.
    """

    adaptation: DomainAdaptation | None
    # Why a model cannot be adapted, or not be trained by chunks, if it cannot.
    not_adaptable = ''
    not_cacheable = ''
    # Beginnings of the names of weights that a checkpoint may lack.
    optional_prefixes: tuple[str, ...] = ()

    def __init__(
        self,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.adaptation = None
        self.gradient_cache: int | None = None
        self._finetuned = False
        self._depths: dict[str, tuple[int, int]] = {}

    def add_adaptation(self, adaptation: Mapping[str, Any]) -> None:
        """Train on a target without pairs from now on.

        Args:
            adaptation (Mapping): Arguments of :class:`DomainAdaptation` but the retriever.

        Raises:
            ValueError: If the model is ``not_adaptable``.
        """
        if self.not_adaptable:
            raise ValueError(
                f'{type(self).__name__} cannot be adapted: {self.not_adaptable}; use '
                'CrossModalRetriever'
            )
        self.adaptation = DomainAdaptation(self, **adaptation)  # type: ignore[arg-type]
        # The source has no such losses, and may have been trained with another head.
        self.optional_prefixes = ('adaptation.', 'head.', *self.optional_prefixes)

    def add_finetuning(self, finetune: Mapping[str, Any]) -> None:
        """Train a part of the weights, or few new ones, from now on.

        Args:
            finetune (Mapping): See :func:`apply_finetuning`.

        Raises:
            ValueError: If it names what does not exist.
        """
        before = {name for name, _ in self.named_parameters()}
        apply_finetuning(self, finetune)
        new = [name for name, _ in self.named_parameters() if name not in before]
        branches = dict.fromkeys(f'{name.rpartition(".")[0]}.' for name in new)
        self.optional_prefixes = (*self.optional_prefixes, *branches)
        self._finetuned = True

    def set_gradient_cache(self, rows: int) -> None:
        """Train with the activations of so many items in memory; see :func:`encode_in_chunks`.

        Args:
            rows (int): Images, texts or segments of one pass.

        Raises:
            ValueError: If it is no number from 1, or the model is ``not_cacheable``.
        """
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
            raise ValueError(f'gradient_cache must be a whole number from 1, got {rows!r}')
        if self.not_cacheable:
            raise ValueError(f'{type(self).__name__} takes no gradient_cache: {self.not_cacheable}')
        self.gradient_cache = rows

    def in_chunks(self, encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Embed a batch, by parts if there is a ``gradient_cache``.

        Args:
            encode (Callable): Embeds rows, each by itself.
            inputs (Tensor): The rows.

        Shape:
            (N, ...) -> (N, D).

        Returns:
            Tensor: Of ``encode``.
        """
        return encode_in_chunks(encode, inputs, self.gradient_cache, self)

    @property
    def starts_whole(self) -> bool:
        """bool: Whether training may not start with a part of the weights: in an adaptation."""
        return self.adaptation is not None

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        """Depth of a parameter, for the layer-wise learning rates of mmpretrain.

        Args:
            param_name (str): Its name.

        Returns:
            tuple[int, int]: Depth in its encoder, and the number of depths there: patches and words
            are 0, the projection is the last. What is in no encoder is as the last.
        """
        if not self._depths:
            others = getattr(self, 'encoders', nn.Module())
            encoders = [
                *((name, part) for name, part in self.named_children() if '_encoder' in name),
                *((f'encoders.{name}', part) for name, part in others.named_children()),
            ]
            for prefix, part in encoders:
                depths, blocks = layer_depths(part)
                self._depths.update(
                    {f'{prefix}.{name}': (depth, blocks + 2) for name, depth in depths.items()}
                )
        return self._depths.get(param_name, _TOP)

    def train(self, mode: bool = True) -> RetrieverOptions:
        """Switch the mode; what fine-tuning has frozen stays in ``eval``.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            RetrieverOptions: Itself.
        """
        super().train(mode)
        if mode and self._finetuned:
            keep_frozen_in_eval(self)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """A checkpoint with adaptation, LoRA or adapters fits a model without, and the reverse."""
        if self.adaptation is None:
            for name in [name for name in state_dict if name.startswith(f'{prefix}adaptation.')]:
                del state_dict[name]
        fit_state_dict(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _dump_init_info(self) -> None:
        """Few lines in the log; mmengine's has three for every weight."""
        origins = [self._params_init_info[weight]['init_info'] for weight in self.parameters()]
        print_log(f'weights: {describe_initialization(origins)}', logger='current')
        print_log(f'trained: {describe_trained(self)}', logger='current')
        layers = [
            layer for layer in batch_norms(self) if layer.training and layer.weight is not None
        ]
        if self.gradient_cache is not None and layers:
            print_log(
                f'gradient_cache={self.gradient_cache}: {len(layers)} BatchNorm layers see so many '
                'rows at a time, so the loss is not that of the whole batch; keep them in eval '
                '(norm_eval=True), or use an encoder without',
                logger='current',
                level=30,
            )
