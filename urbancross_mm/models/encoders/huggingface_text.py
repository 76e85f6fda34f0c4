"""Any text model of transformers as a text encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from urbancross_mm.models.encoders.base import TokenLimits
from urbancross_mm.models.encoders.huggingface_base import HuggingFaceEncoder
from urbancross_mm.registry import MODELS
from urbancross_mm.utils.hf_tokenizers import (
    closing_paddings,
    load_tokenizer,
    padding_id,
    token_types,
)

# Trained without an attention mask on rows padded to their full length, whose last column is read.
UNMASKED = ('siglip_text_model', 'siglip2_text_model')


@MODELS.register_module()
class HuggingFaceTextEncoder(HuggingFaceEncoder):
    """A pretrained transformers model, pooled and optionally projected.

    Encoder-decoder models (T5) give their encoder, two-tower models (CLIP) their text tower. Where
    a text ends is known from the tokenizer in the same folder, with which
    ``HuggingFaceTokenizer`` makes the rows; how much padding follows never changes a feature.

    Args:
        path (str): Local folder with config, weights and tokenizer, or a hub id with
            ``allow_download``.
        embed_dim (int, optional): Width of the embedding, through a linear projection. Defaults
            to None: the model's own width, no projection.
        pool (str): ``'mean'`` over the tokens, ``'cls'`` the first one, ``'eos'`` the last one
            before the padding, ``'pooler'`` the model's own: of CLIP and SigLIP what
            ``get_text_features`` gives, projection included. Defaults to 'mean'.
        frozen (bool): Do not train the model; the projection trains. Defaults to False.
        trainable_layers (int, optional): Train only the last so many blocks. Defaults to None,
            all.
        allow_download (bool): Look on the hub if the folder is not there. Defaults to False.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If an option is unknown, or the folder holds no text model, no feature of its
            own for ``'pooler'``, or not all weights.
        FileNotFoundError: If the model is neither on disk nor to be downloaded.
    """

    modality, input_name = 'text', 'input_ids'
    pools = ('mean', 'cls', 'eos', 'pooler')
    tower_name, head_name = 'text_model', 'text_projection'
    first_token_families = ('align', 'chinese_clip', 'flava')

    def __init__(
        self,
        path: str,
        embed_dim: int | None = None,
        pool: str = 'mean',
        frozen: bool = False,
        trainable_layers: int | None = None,
        allow_download: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(path, pool, allow_download, init_cfg)
        tokenizer = _tokenizer_of(self.path, allow_download)
        self.pad_id, self._closing = self._padding(tokenizer)
        # Of the tokenizer in the folder; None where there is none.
        self._ids = None if tokenizer is None else max(len(tokenizer), self.pad_id + 1)
        self._types = token_types(tokenizer) if 'token_type_ids' in self.inputs else {}
        self.max_tokens = _max_tokens(self.model)
        self._vocab_size = getattr(self.model.config, 'vocab_size', self.pad_id + 1)
        self._unmasked = self.model.config.model_type in UNMASKED
        self._takes_mask = bool({'attention_mask', 'kwargs'} & set(self.inputs))
        self._reads_padding = False
        self._finish(torch.zeros(1, 1, dtype=torch.long), embed_dim, frozen, trainable_layers)
        self._reads_padding = self._padding_shows()

    def _tower(self, model: Any) -> Any:
        if hasattr(model, self.tower_name):
            return model.text_model
        encoder_alone = type(model).__name__.endswith('EncoderModel')
        if encoder_alone or getattr(model.config, 'is_encoder_decoder', False):
            return model.get_encoder()
        return model

    def _padding(self, tokenizer: Any) -> tuple[int, int]:
        """Padding id, and how many of it end a text."""
        if tokenizer is not None:
            pad_id = padding_id(tokenizer)
            return pad_id, closing_paddings(tokenizer, pad_id)
        ends = getattr(self.model.config, 'eos_token_id', None)
        ends = ends if isinstance(ends, (list, tuple)) else [ends]
        ids = (getattr(self.model.config, 'pad_token_id', None), *ends)
        pad_id = next((i for i in ids if i is not None), 0)
        return pad_id, int(pad_id in ends)

    def token_limits(self) -> TokenLimits:
        """Those of the tokenizer in the folder, or else of the model."""
        if self._ids is None:
            return TokenLimits(self._vocab_size, None, self.max_tokens)
        return TokenLimits(self._ids, self.pad_id, self.max_tokens, exact=True)

    def attention_mask(self, tokens: Tensor) -> Tensor:
        """Which tokens are text: everything before the padding that ends a row.

        CLIP pads with its end token, so there the first token of the padding is the end. The first
        token always counts, or an empty text would be a softmax over nothing.

        Args:
            tokens (Tensor): Token ids.

        Shape:
            (N, L) -> (N, L).

        Returns:
            Tensor: Bool mask.
        """
        position = torch.arange(tokens.shape[1], device=tokens.device)
        before_padding = ((tokens != self.pad_id) * (position + 1)).amax(dim=1, keepdim=True)
        return position < (before_padding + self._closing).clamp(min=1)

    def pooled(self, tokens: Tensor) -> Tensor:
        """Features before the projection.

        Args:
            tokens (Tensor): Token ids of the model's own tokenizer.

        Shape:
            (N, L) -> (N, C).

        Returns:
            Tensor: One vector per text.

        Raises:
            ValueError: If a text is longer than the model reads.
        """
        tokens, mask = self._trim(tokens)
        if not self._reads_padding:
            return self._pool(tokens, mask)
        lengths, order = mask.sum(dim=1).sort(stable=True)
        sizes = lengths.unique_consecutive(return_counts=True)[1].tolist()
        parts = [
            self._pool(tokens[rows, :length], mask[rows, :length])
            for rows, length in zip(order.split(sizes), lengths.unique().tolist())
        ]
        return torch.cat(parts)[order.argsort()]

    def _pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        attended = (
            {} if self._unmasked or not self._takes_mask else dict(attention_mask=mask.long())
        )
        out = self.model(input_ids=tokens, **attended, **self._segments(tokens))
        if self.pool == 'pooler':
            return self._own_feature(out)
        states = out.last_hidden_state  # (N, L, C)
        if self.pool == 'cls':
            return states[:, 0]
        if self.pool == 'eos':
            return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)

    @torch.no_grad()
    def _padding_shows(self) -> bool:
        """Whether a text depends on the padding behind it, as through the convolutions of ConvBERT.

        Such a model is given texts of one length at a time, hence without padding.
        """
        longest = min(6, self.max_tokens or 6)
        rows = torch.full((2, longest), int(self.pad_id == 0))
        rows[0, longest // 2 :] = self.pad_id
        alone, padded = self.pooled(rows[:1])[0], self.pooled(rows)[0]
        return not bool((alone - padded).norm() <= 1e-4 * alone.norm())

    def _segments(self, tokens: Tensor) -> dict[str, Tensor]:
        """Types of the tokens where they are not all 0, which is what models assume."""
        if not self._types:
            return {}
        types = torch.zeros_like(tokens)
        for token_id, kind in self._types.items():
            types[tokens == token_id] = kind
        return dict(token_type_ids=types)

    def _trim(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as the model takes them, and where they are text.

        Captions are short: columns that are padding in every row cost time and change nothing,
        but for models that read full rows alone.
        """
        mask = self.attention_mask(tokens)
        length = tokens.shape[1]
        if not torch.compiler.is_compiling():  # a graph has one shape for all texts
            length = int(mask.sum(dim=1).max()) if len(mask) else 1
        if self.max_tokens is not None and length > self.max_tokens:
            raise ValueError(
                f'the text model at {self.path!r} reads {self.max_tokens} tokens, got '
                f'{length}: set max_length of its tokenizer'
            )
        if self._unmasked and self.max_tokens is not None:
            missing = max(self.max_tokens - tokens.shape[1], 0)
            tokens = nn.functional.pad(tokens, (0, missing), value=self.pad_id)
            mask = nn.functional.pad(mask, (0, missing), value=False)
            length = self.max_tokens
        tokens, mask = tokens[:, :length], mask[:, :length]
        if self.pad_id >= self._vocab_size:
            tokens = tokens.masked_fill(tokens == self.pad_id, 0)
        return tokens, mask


def _tokenizer_of(path: str, allow_download: bool) -> Any:
    """The tokenizer in the folder of a model; None where there is none."""
    try:
        return load_tokenizer(path, local=not allow_download)
    except (OSError, ValueError):
        return None


def _max_tokens(model: nn.Module) -> int | None:
    """How many tokens the model has a table of positions for, None for any number."""
    count = getattr(model.config, 'max_position_embeddings', None) or 0
    # Rotary and relative positions have no table; BART's has two rows more.
    tables = [
        part
        for part in model.modules()
        if isinstance(part, nn.Embedding) and 0 < count <= part.num_embeddings <= count + 2
    ]
    if not tables:
        return None
    # RoBERTa and MPNet count positions from behind their padding id.
    offset = getattr(getattr(model, 'embeddings', None), 'padding_idx', None)
    return count if offset is None else count - offset - 1
