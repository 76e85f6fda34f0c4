"""Pure functions on tensors: torch and numpy alone, no state, no registry."""

from urbancross_mm.functional import (
    alignment,
    average_precision,
    contrastive,
    curriculum,
    domain,
    label_free,
    modal,
    ranking,
    reranking,
    segments,
    selection,
    similarity,
    spectrogram,
    transport,
)

__all__ = [
    'alignment',
    'average_precision',
    'contrastive',
    'curriculum',
    'domain',
    'label_free',
    'modal',
    'ranking',
    'reranking',
    'segments',
    'selection',
    'similarity',
    'spectrogram',
    'transport',
]
