"""Where in a raster a text, or an image, is."""

from urbancross_mm.inference.localization.heat_map import HeatMap
from urbancross_mm.inference.localization.localizer import SemanticLocalizer

__all__ = ['HeatMap', 'SemanticLocalizer']
