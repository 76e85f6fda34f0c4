"""What the towers of transformers models share: loading, projection, what trains."""

from __future__ import annotations

import inspect
import os
import pickle
import textwrap
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from urbancross_mm.models.encoders.base import BaseEncoder

# Models of one tower that AutoModel would fill up to two, or rob of its projection.
OWN_CLASSES = ('EncoderModel', 'WithProjection')
LOAD_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    KeyError,
    ImportError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)


class HuggingFaceEncoder(BaseEncoder):
    """One tower of a pretrained transformers model; a subclass says which.

    Args:
        path (str): Local folder, or a hub id with ``allow_download``.
        pool (str): One of ``pools``.
        allow_download (bool): Look on the hub if the folder is not there.
        init_cfg (dict, optional): mmengine's initialization config.
    """

    modality: ClassVar[str]  # for messages
    pools: ClassVar[tuple[str, ...]] = ('mean', 'cls', 'pooler')
    input_name: ClassVar[str]  # what the tower's forward takes
    tower_name: ClassVar[str]  # of a model of two towers
    head_name: ClassVar[str]  # and of this tower's projection into the common space
    # Families whose projection takes the first token, not the pooled output.
    first_token_families: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, path: str, pool: str, allow_download: bool, init_cfg: dict[str, Any] | None
    ) -> None:
        super().__init__(init_cfg)
        if pool not in self.pools:
            raise ValueError(f'pool must be one of {self.pools}, got {pool!r}')
        self.path, self.pool = str(path), pool
        model, missing = load_model(self.path, allow_download)
        self.model = self._tower(model)
        self.inputs = tuple(inspect.signature(self.model.forward).parameters)
        if self.input_name not in self.inputs:
            raise ValueError(
                f'the transformers model at {path!r} is a {type(model).__name__}, '
                f'which reads no {self.modality}'
            )
        self.model.is_init = True  # mmengine's init_weights must not draw new weights
        head = getattr(model, self.head_name, None) if pool == 'pooler' else None
        self.head = nn.Identity() if head is None else head
        self._projects_first = (
            head is not None and model.config.model_type in self.first_token_families
        )
        kept = {id(weight) for weight in self.parameters()}
        self._missing = {
            name: weight
            for name, weight in model.named_parameters()
            if name in missing and id(weight) in kept
        }

    def _tower(self, model: Any) -> Any:
        return getattr(model, self.tower_name, model)

    def _finish(
        self, probe: Tensor, embed_dim: int | None, frozen: bool, trainable_layers: int | None
    ) -> None:
        """Add the projection to the width that one pass shows, and settle what trains."""
        width = self._try_out(probe, frozen)
        self.embed_dim = embed_dim or width
        self.projection = nn.Linear(width, embed_dim) if embed_dim else nn.Identity()
        if frozen:
            self.freeze('model')
            self.freeze('head')
        elif trainable_layers is not None:
            _train_last(self.model, trainable_layers)
            self.head.requires_grad_(False)

    def _try_out(self, probe: Tensor, frozen: bool) -> int:
        """Width of the features.

        Weights that they do not depend on get no gradient, which DDP takes for a mistake, so they
        do not train; those that they depend on must come from the folder.
        """
        missing, self._missing = self._missing, {}
        asked = [
            weight
            for weight in (missing.values() if frozen else self.parameters())
            if weight.requires_grad
        ]
        feats, used = self._first_pass(probe, asked)
        unused = {id(weight) for weight in asked if id(weight) not in used}
        lost = [name for name, weight in missing.items() if id(weight) not in unused]
        if lost:
            raise ValueError(
                f'the folder {self.path!r} lacks {len(lost)} weights that pool={self.pool!r} '
                f'needs: {", ".join(lost[:3])}'
            )
        for weight in asked:
            weight.requires_grad_(id(weight) not in unused)
        return feats.shape[-1]

    def _first_pass(self, probe: Tensor, asked: list[Tensor]) -> tuple[Tensor, set[int]]:
        """Features of a probe, and the ids of the weights that they depend on."""
        try:
            with torch.set_grad_enabled(bool(asked)):
                feats = self.pooled(probe)
                used = _leaves(feats)
                trained = [weight for weight in asked if id(weight) in used]
                if trained:
                    # Some models fail on the way back alone. A small gradient at their beginning
                    # shows it; those of all weights would take the memory of the model again.
                    torch.autograd.grad(feats.sum(), min(trained[:4], key=Tensor.numel))
            return feats, used
        except (TypeError, RuntimeError, AssertionError, IndexError) as error:
            raise ValueError(
                f'the {type(self.model).__name__} at {self.path!r} cannot encode {self.modality} '
                f'of shape {tuple(probe.shape)}: {_first_line(error)}'
            ) from error

    def _own_feature(self, out: Any) -> Tensor:
        """The feature that the model was trained to give, projection included."""
        if self._projects_first:
            return self.head(out.last_hidden_state[:, 0])
        feats = getattr(out, 'pooler_output', None)
        if feats is None:
            raise ValueError(
                f"pool='pooler' takes the model's own feature, and the {type(self.model).__name__} "
                f"at {self.path!r} has none: set pool to 'mean' or 'cls'"
            )
        return self.head(feats.flatten(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (N, D) of what ``pooled`` takes, not normalized."""
        return self.projection(self.pooled(inputs))


def _leaves(output: Tensor) -> set[int]:
    """Ids of the weights that a tensor depends on; no gradient is computed."""
    leaves, seen, todo = set(), set(), [output.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            if hasattr(node, 'variable'):
                leaves.add(id(node.variable))
            todo += [parent for parent, _ in node.next_functions]
    return leaves


def load_model(path: str, allow_download: bool) -> tuple[Any, set[str]]:
    """Load a transformers model in float32.

    Args:
        path (str): Local folder or hub id.
        allow_download (bool): Look on the hub.

    Returns:
        tuple[nn.Module, set[str]]: The model in ``eval``, and the names of the weights that the
        folder lacks, which are random.

    Raises:
        ValueError: If the folder holds no model that can be loaded.
        FileNotFoundError: If there is no such folder, or no network.
    """
    import transformers

    options = dict(local_files_only=not allow_download)
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(path, **options)
        model, info = _class_for(config).from_pretrained(
            path, dtype=torch.float32, output_loading_info=True, trust_remote_code=False, **options
        )
        return model, set(info['missing_keys'])
    except LOAD_ERRORS as error:
        reason = _first_line(error)
        if isinstance(error, OSError) or not os.path.isdir(path):
            raise FileNotFoundError(
                f'no transformers model at {path!r} ({reason}): give a local folder with '
                'config.json and weights, or a hub id with allow_download=True and a connection; '
                '--sample runs without it'
            ) from error
        raise ValueError(
            f'the transformers model at {path!r} cannot be loaded: {reason}'
        ) from error


def _class_for(config: dict[str, Any]) -> Any:
    """The folder's own class where AutoModel would fill it up, cut it, or not know it."""
    import transformers

    name = (config.get('architectures') or [''])[0]
    known = config.get('model_type') in transformers.CONFIG_MAPPING
    own = not known or name.endswith(OWN_CLASSES)
    return (own and getattr(transformers, name, None)) or transformers.AutoModel


def _first_line(error: BaseException) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return textwrap.shorten(line, 200, placeholder=' ...').rstrip('.')


def _train_last(model: nn.Module, count: int) -> None:
    """Freeze all but the last blocks; the longest list of modules is the stack of blocks."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    blocks = max(stacks, key=len, default=())
    if not 0 <= count <= len(blocks):
        raise ValueError(f'trainable_layers must lie in [0, {len(blocks)}], got {count}')
    earlier = [p for p in model.parameters() if p.requires_grad]
    kept = {id(p) for block in blocks[len(blocks) - count :] for p in block.parameters()}
    for weight in earlier:
        weight.requires_grad_(id(weight) in kept)
