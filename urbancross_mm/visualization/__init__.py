"""Images of results and of data."""

from urbancross_mm.visualization.class_maps import color_classes, draw_class_map
from urbancross_mm.visualization.dataset_figures import draw_histograms, draw_tile_map
from urbancross_mm.visualization.domain_matrix import draw_domain_matrix
from urbancross_mm.visualization.embedding_map import draw_embedding_map, project_2d
from urbancross_mm.visualization.heat_map import draw_heat_map
from urbancross_mm.visualization.label_sheet import label_sheet
from urbancross_mm.visualization.retrieval_visualizer import RetrievalVisualizer
from urbancross_mm.visualization.sample_sheet import (
    draw_sample_sheet,
    outline_masks,
    overlay_classes,
    overlay_masks,
)

__all__ = [
    'RetrievalVisualizer',
    'color_classes',
    'draw_class_map',
    'draw_domain_matrix',
    'draw_embedding_map',
    'draw_heat_map',
    'draw_histograms',
    'draw_sample_sheet',
    'draw_tile_map',
    'label_sheet',
    'outline_masks',
    'overlay_classes',
    'overlay_masks',
    'project_2d',
]
