"""Pictures of results and of data."""

from urbancross_mm.visualization.retrieval_visualizer import RetrievalVisualizer
from urbancross_mm.visualization.sample_sheet import draw_sample_sheet, overlay_masks

__all__ = ['RetrievalVisualizer', 'draw_sample_sheet', 'overlay_masks']
