"""Any text model of transformers as a text encoder."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from urbancross_mm.models.encoders.base import BaseEncoder
from urbancross_mm.registry import MODELS

POOLS = ('mean', 'cls', 'pooler')


@MODELS.register_module()
class HuggingFaceTextEncoder(BaseEncoder):
    """A pretrained transformers model, pooled and optionally projected.

    Encoder-decoder models (T5) give their encoder, two-tower models (CLIP) their text tower.

    Args:
        path (str): Local folder with config and weights, or a hub id with ``allow_download``.
        embed_dim (int, optional): Width of the embedding, through a linear projection. Defaults
            to None: the model's own width, no projection.
        pool (str): ``'mean'`` over the tokens, ``'cls'`` the first one, ``'pooler'`` the model's
            own (CLIP's end-of-text). Defaults to 'mean'.
        pad_id (int, optional): Padding id. Defaults to None: the model config's padding id, or
            its end id, or 0.
        frozen (bool): Do not train the model; the projection trains. Defaults to False.
        trainable_layers (int, optional): Train only the last so many blocks. Defaults to None,
            all.
        allow_download (bool): Look on the hub if the folder is not there. Defaults to False.
        init_cfg (dict, optional): mmengine's initialisation config. Defaults to None.

    Raises:
        ValueError: If an option is unknown, or the folder holds no text model.
        FileNotFoundError: If the model is neither on disk nor to be downloaded.
    """

    def __init__(
        self,
        path: str,
        embed_dim: int | None = None,
        pool: str = 'mean',
        pad_id: int | None = None,
        frozen: bool = False,
        trainable_layers: int | None = None,
        allow_download: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {POOLS}, got {pool!r}')
        self.model = _text_part(_load(str(path), allow_download))
        self.model.is_init = True  # mmengine's init_weights must not draw new weights
        config = self.model.config
        width = getattr(config, 'hidden_size', None) or config.d_model
        ids = (pad_id, getattr(config, 'pad_token_id', None), getattr(config, 'eos_token_id', None))
        self.pool = pool
        self.pad_id = next((i for i in ids if i is not None), 0)  # as HuggingFaceTokenizer pads
        self.embed_dim = embed_dim or width
        self.projection = nn.Linear(width, embed_dim) if embed_dim else nn.Identity()
        if pool != 'pooler' and getattr(self.model, 'pooler', None) is not None:
            # Not used, hence without gradient, which DDP takes for a mistake.
            self.model.pooler.requires_grad_(False)
        if frozen:
            self.freeze('model')
        elif trainable_layers is not None:
            _train_last(self.model, trainable_layers)

    def attention_mask(self, tokens: Tensor) -> Tensor:
        """What the model attends to: everything up to the padding.

        CLIP and GPT pad with their end token, so the first padding token of a row counts as its
        end where the two ids are equal. The first token always counts, or an empty text would be
        a softmax over nothing.

        Args:
            tokens (Tensor): Token ids.

        Shape:
            (N, L) -> (N, L).

        Returns:
            Tensor: Bool mask.
        """
        is_pad = tokens == self.pad_id
        if self.pad_id == getattr(self.model.config, 'eos_token_id', None):
            mask = is_pad.cumsum(dim=1) - is_pad.long() == 0
        else:
            mask = ~is_pad
        mask[:, 0] = True
        return mask

    def pooled(self, tokens: Tensor) -> Tensor:
        """Features before the projection.

        Args:
            tokens (Tensor): Token ids of the model's own tokenizer.

        Shape:
            (N, L) -> (N, C).

        Returns:
            Tensor: One vector a text.
        """
        mask = self.attention_mask(tokens)
        # Captions are short: columns that are padding in every row cost time and change nothing.
        length = int(mask.any(dim=0).nonzero().max()) + 1 if mask.any() else 1
        tokens, mask = tokens[:, :length], mask[:, :length]
        out = self.model(input_ids=tokens, attention_mask=mask.long())
        if self.pool == 'pooler':
            return out.pooler_output
        states = out.last_hidden_state  # (N, L, C)
        if self.pool == 'cls':
            return states[:, 0]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features of texts, not normalised.

        Args:
            tokens (Tensor): Token ids of the model's own tokenizer.

        Shape:
            (N, L) -> (N, D).

        Returns:
            Tensor: One vector a text.
        """
        return self.projection(self.pooled(tokens))


def _load(path: str, allow_download: bool) -> nn.Module:
    import transformers

    try:
        return transformers.AutoModel.from_pretrained(
            path, local_files_only=not allow_download, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')[:200]
        if isinstance(error, OSError) or not os.path.isdir(path):
            raise FileNotFoundError(
                f'no transformers model at {path!r} ({reason}): give a local folder with '
                'config.json and weights, or a hub id with allow_download=True and a connection; '
                '--sample runs without it'
            ) from error
        raise ValueError(
            f'the transformers model at {path!r} cannot be loaded: {reason}'
        ) from error


def _text_part(model: nn.Module) -> nn.Module:
    """The text encoder of a model of several parts."""
    if getattr(model.config, 'is_encoder_decoder', False):
        return model.get_encoder()
    return getattr(model, 'text_model', model)


def _train_last(model: nn.Module, count: int) -> None:
    """Freeze all but the last blocks; the longest list of modules is the stack of blocks."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    blocks = max(stacks, key=len, default=())
    if not 0 <= count <= len(blocks):
        raise ValueError(f'trainable_layers must lie in [0, {len(blocks)}], got {count}')
    model.requires_grad_(False)
    for block in blocks[len(blocks) - count:]:
        block.requires_grad_(True)
