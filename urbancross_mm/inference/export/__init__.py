"""A trained model for other programs: both towers as graphs, and what they need to know."""

from urbancross_mm.inference.export.export import export_model

__all__ = ['export_model']
