"""Dataset cards: what is in a dataset, on one page."""

from urbancross_mm.curation.card.make import make_card
from urbancross_mm.curation.card.render import format_of, to_html, to_markdown, write_card
from urbancross_mm.curation.card.sources import find_annotations

__all__ = ['find_annotations', 'format_of', 'make_card', 'to_html', 'to_markdown', 'write_card']
