"""Small trained branches beside frozen layers: LoRA and bottleneck adapters.

They hang on a layer as its child ``lora`` or ``adapter``. The layer keeps its class and its weights
keep their names, so initialization, checkpoints, averaging and copies work as without them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear


class LoRABranch(nn.Module):
    r"""The update :math:`s B A` of a matrix, of low rank, 0 at first.

    Args:
        in_features (int): Columns of the matrix.
        out_features (int): Its rows.
        rank (int): Of the update.
        alpha (float): Its scale s is ``alpha / rank``.
        dropout (float): Of the input, where the layer is a plain one.

    Reference:
        LoRA (https://arxiv.org/abs/2106.09685).
    """

    scale: Tensor

    def __init__(
        self, in_features: int, out_features: int, rank: int, alpha: float, dropout: float
    ) -> None:
        super().__init__()
        # Parameters and no layers: an ``init_cfg`` that draws all linear layers passes them over.
        self.down = nn.Parameter(torch.empty(rank, in_features))
        self.up = nn.Parameter(torch.zeros(out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.dropout = dropout
        # In the checkpoint, so that it can be merged without a config.
        self.register_buffer('scale', torch.tensor(alpha / rank))

    def delta(self) -> Tensor:
        """The update as a matrix, (out, in)."""
        return self.scale * (self.up @ self.down)

    def forward(self, inputs: Tensor) -> Tensor:
        """What the update adds to the output of the layer, (..., in) -> (..., out)."""
        dropped = functional.dropout(inputs, self.dropout, self.training)
        return self.scale * functional.linear(functional.linear(dropped, self.down), self.up)


class AdapterBranch(nn.Module):
    r"""A bottleneck :math:`g\, W_u\, a(W_d x)`, 0 at first, with a learned gate g.

    Args:
        features (int): Width of the layer.
        width (int): Of the bottleneck.
        parallel (bool): It reads the input of the layer, not its output.
        middle (nn.Parameter, optional): A matrix (width, width) that several adapters share.
        owner (bool): The matrix is listed as a parameter of this one.

    Reference:
        Adapters (https://arxiv.org/abs/1902.00751), PE-RSITR (https://arxiv.org/abs/2308.12509),
        HarMA (https://arxiv.org/abs/2404.18253) for the part that modalities share.
    """

    def __init__(
        self,
        features: int,
        width: int,
        parallel: bool,
        middle: nn.Parameter | None,
        owner: bool = False,
    ) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(width, features))
        self.down_bias = nn.Parameter(torch.zeros(width))
        self.up = nn.Parameter(torch.zeros(features, width))
        self.up_bias = nn.Parameter(torch.zeros(features))
        self.gate = nn.Parameter(torch.ones(()))
        if owner:
            self.middle = middle
        self._shared = (middle,)  # in a tuple: listed once, or an optimizer would have it twice
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.parallel = parallel

    def forward(self, inputs: Tensor) -> Tensor:
        """What the adapter adds to the output of the layer, (..., D) -> (..., D)."""
        if inputs.shape[-1] != self.down.shape[1]:
            raise ValueError(
                f'an adapter of {self.down.shape[1]} channels got {tuple(inputs.shape)}, whose '
                'last dimension is another: choose targets that give tokens or vectors'
            )
        hidden = functional.gelu(functional.linear(inputs, self.down, self.down_bias))
        (middle,) = self._shared
        if middle is not None:
            hidden = functional.gelu(functional.linear(hidden, middle))
        return self.gate * functional.linear(hidden, self.up, self.up_bias)


class _LoRAAttention(nn.MultiheadAttention):
    """Its matrices are read as a whole, by fused kernels too: so the update is in the matrix."""

    lora: LoRABranch

    @property
    def in_proj_weight(self) -> Tensor:  # type: ignore[override]
        return _matrix(self, 'in_proj_weight') + self.lora.delta()


class _LoRAOutProjection(NonDynamicallyQuantizableLinear):
    """The output matrix of an attention, whose ``forward`` nobody calls."""

    lora: LoRABranch

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return _matrix(self, 'weight') + self.lora.delta()


def _matrix(module: nn.Module, name: str) -> nn.Parameter:
    """A weight as it is stored."""
    weight = module._parameters[name]
    assert weight is not None
    return weight


def takes_lora(module: nn.Module) -> bool:
    """Whether LoRA can be added to a layer.

    Args:
        module (nn.Module): A layer.

    Returns:
        bool: True for linear layers and the attention of torch.
    """
    return isinstance(module, nn.Linear) or (
        type(module) is nn.MultiheadAttention and module._parameters['in_proj_weight'] is not None
    )


def has_lora_inside(module: nn.Module) -> bool:
    """Whether the update of a layer is in its matrix, which is then no plain parameter.

    Args:
        module (nn.Module): A layer.

    Returns:
        bool: True for the attention of torch with LoRA, and its output.
    """
    return isinstance(module, _LoRAAttention | _LoRAOutProjection)


def add_lora(module: Any, rank: int, alpha: float, dropout: float) -> None:
    """Add LoRA to a layer.

    Args:
        module (nn.Module): One that :func:`takes_lora`; an attention gets it on queries, keys and
            values at once, and its output is a layer of its own.
        rank (int): See :class:`LoRABranch`.
        alpha (float): See :class:`LoRABranch`.
        dropout (float): See :class:`LoRABranch`.

    Raises:
        ValueError: If an attention of torch, which hides its inputs, is to get dropout.
    """
    fused = type(module) in (nn.MultiheadAttention, NonDynamicallyQuantizableLinear)
    if fused and dropout:
        raise ValueError(
            f'lora.dropout={dropout} cannot reach into the attention of torch, which open_clip '
            'uses: set it to 0, or leave the attention out of lora.targets'
        )
    name = 'in_proj_weight' if isinstance(module, nn.MultiheadAttention) else 'weight'
    weight = _matrix(module, name)
    branch = LoRABranch(weight.shape[1], weight.shape[0], rank, alpha, dropout)
    module.lora = branch.to(weight.device, weight.dtype)
    if type(module) is nn.MultiheadAttention:
        module.__class__ = _LoRAAttention
    elif type(module) is NonDynamicallyQuantizableLinear:
        module.__class__ = _LoRAOutProjection
    else:
        module.register_forward_hook(_after_linear)


def add_adapter(
    module: Any,
    width: int,
    parallel: bool,
    middle: nn.Parameter | None = None,
    owner: bool = False,
) -> None:
    """Add a bottleneck adapter behind or beside a layer or block.

    Args:
        module (nn.Module): With a linear layer inside, the last of which tells the width.
        width (int): See :class:`AdapterBranch`.
        parallel (bool): See :class:`AdapterBranch`.
        middle (nn.Parameter, optional): See :class:`AdapterBranch`. Defaults to None.
        owner (bool): See :class:`AdapterBranch`. Defaults to False.

    Raises:
        ValueError: If there is no linear layer.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise ValueError(
            f'no linear layer in the {type(module).__name__}, which tells the width of an adapter'
        )
    weight = next(layers[-1].parameters())
    branch = AdapterBranch(layers[-1].out_features, width, parallel, middle, owner)
    module.adapter = branch.to(weight.device, weight.dtype)
    module.register_forward_hook(_after_block)


# Functions of the module, and no closures: a copy of the module uses its own branch.
def _after_linear(module: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output + module.lora(inputs[0])


def _after_block(module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
    first = output[0] if isinstance(output, tuple) else output
    first = first + module.adapter(inputs[0] if module.adapter.parallel else first)
    return (first, *output[1:]) if isinstance(output, tuple) else first
