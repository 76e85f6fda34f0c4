"""Pure functions on tensors: torch and numpy alone, no state, no registry."""

from urbancross_mm.functional import contrastive, domain, ranking, segments, similarity

__all__ = ['contrastive', 'domain', 'ranking', 'segments', 'similarity']
