"""Which outputs of a backbone are read, and which of its weights train for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from urbancross_mm.models.build import build_part
from urbancross_mm.models.encoders.backbone_outputs import outputs_of, tensors_of, training_order
from urbancross_mm.models.encoders.base import BaseEncoder


class BackboneReader(BaseEncoder):
    """An encoder around a backbone; a subclass pools what is read.

    Args:
        backbone (dict | nn.Module): The backbone.
        out_index (int | str): Which of several outputs, or ``'all'``.
        probe_size (int): Side of the black image that is passed through it, in pixels.
        image_channels (int): Channels that it reads.
        init_cfg (dict | list[dict], optional): mmengine's initialization config.
    """

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        out_index: int | str,
        probe_size: int,
        image_channels: int,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None,
    ) -> None:
        super().__init__(init_cfg)
        if out_index != 'all' and not isinstance(out_index, int):
            raise ValueError(f"out_index must be a number or 'all', got {out_index!r}")
        self.backbone = build_part(backbone, 'backbone')
        self.out_index: Any = out_index
        self.probe_size = probe_size
        self.image_channels = image_channels
        self._train_order: list[int | None] | None = None
        self._unread: list[nn.Parameter] = []

    def look(self, in_channels: int | None) -> int:
        """Width of what is pooled; settles what training reads, and what trains for it."""
        try:
            return self.probe(self._look)
        except ValueError as error:
            if in_channels is None:
                raise
            print_log(f'which weights train is not known: {error}', 'current', logging.WARNING)
            return in_channels

    def _look(self, image: Tensor) -> int:
        with torch.set_grad_enabled(self._trains()):
            outputs = self.outputs(image)
        width = self.pool_output(self.pick(outputs)).shape[-1]
        if self._trains():
            self._keep_reached(self.pick(outputs))
            self.backbone.training = True  # of itself alone: its parts stay deterministic
            self._train_order = training_order(outputs, self.outputs(image))
        return width

    def pool_output(self, output: Any) -> Tensor:
        """One vector per image from what is picked; a subclass writes it."""
        raise NotImplementedError

    def _trains(self) -> bool:
        trained = any(weight.requires_grad for weight in self.backbone.parameters())
        return trained and not torch.is_inference_mode_enabled()

    def probe(self, function: Callable[[Tensor], Any]) -> Any:
        """What a black image gives; in ``eval``, so that no statistics move."""
        training = self.backbone.training
        self.backbone.eval()
        device = next((weight.device for weight in self.backbone.parameters()), None)
        shape = (1, self.image_channels, self.probe_size, self.probe_size)
        try:
            with torch.no_grad(), torch.random.fork_rng([]):
                return function(torch.zeros(shape, device=device))
        except ValueError:
            raise
        except Exception as error:  # each backbone raises what it likes
            raise ValueError(
                f'{type(self.backbone).__name__} cannot read an image of shape {shape} '
                f'({str(error).strip().splitlines()[:1]}): set probe_size and image_channels to '
                'those of its images'
            ) from error
        finally:
            self.backbone.train(training)

    def outputs(self, image: Tensor) -> list[Any]:
        """What the backbone returns, in the order of evaluation."""
        if image.shape[1] == 1:
            image = image.expand(-1, self.image_channels, -1, -1)
        if not torch.is_grad_enabled() and image.device.type == 'cpu':
            # Convolutions take half the time in this layout. Gradients in it crash torch 2.13 with
            # some networks, such as PoolFormer.
            image = image.contiguous(memory_format=torch.channels_last)
        outputs = outputs_of(self.backbone, self.backbone(image))
        if self._train_order is None or not self.backbone.training:
            return outputs
        return [None if index is None else outputs[index] for index in self._train_order]

    def pick(self, outputs: list[Any]) -> Any:
        """What is pooled of the outputs."""
        if self.out_index == 'all':
            return [output for output in outputs if output is not None]
        if not -len(outputs) <= self.out_index < len(outputs):
            raise ValueError(
                f'out_index={self.out_index}, but {type(self.backbone).__name__} has '
                f'{len(outputs)} output(s)'
            )
        return outputs[self.out_index]

    def freeze_unread(self, read: Sequence[int] | None = None) -> None:
        """Stop training what only other outputs need, such as the norm of each map of a Swin.

        What an earlier call stopped trains again where it is read now.

        Args:
            read (Sequence[int], optional): The outputs that are read. Defaults to None: those that
                are pooled.
        """
        if not self._trains():
            return
        for weight in self._unread:
            weight.requires_grad_(True)

        def reach(image: Tensor) -> None:
            with torch.enable_grad():
                outputs = self.outputs(image)
            self._keep_reached(self.pick(outputs) if read is None else [outputs[i] for i in read])

        self.probe(reach)

    def _keep_reached(self, output: Any) -> None:
        """Train only what an output depends on; by its gradient, as checkpointing hides graphs."""
        trained = [weight for weight in self.backbone.parameters() if weight.requires_grad]
        reached: set[int] = set()

        def note(weight: Tensor) -> None:
            reached.add(id(weight))
            weight.grad = None  # those of all weights would take the memory of the model again

        if not trained:
            return
        hooks = [weight.register_post_accumulate_grad_hook(note) for weight in trained]
        with torch.enable_grad():
            total = torch.stack([part.float().sum() for part in tensors_of([output])]).sum()
            if total.requires_grad:
                total.backward()
        for hook in hooks:
            hook.remove()
        # One that is frozen but for what is not read is right.
        if not reached and 2 * len(trained) > len(list(self.backbone.parameters())):
            raise ValueError(
                f'nothing that is read of {type(self.backbone).__name__} depends on a weight of it '
                f'(out_index={self.out_index!r}): no encoder of images, or another output'
            )
        self._unread = [weight for weight in trained if id(weight) not in reached]
        for weight in self._unread:
            weight.requires_grad_(False)

    def init_weights(self) -> None:
        """Initialize, and say what does not train."""
        super().init_weights()
        if self._unread:
            print_log(
                f'{len(self._unread)} weights of {type(self.backbone).__name__} do not train: '
                f'nothing that is read depends on them (out_index={self.out_index!r}; '
                "'all' reads every output)",
                'current',
            )
