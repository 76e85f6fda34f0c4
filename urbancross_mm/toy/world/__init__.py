"""A procedural world of three countries: images, captions, masks and tags from one scene graph.

The three countries show the same kinds of objects at other scales, in other colors and with other
words, so a model that was trained on one loses on another. :func:`make_sample` writes the world in
the folder layouts of the published datasets.
"""

from urbancross_mm.toy.world.audio import spoken_caption
from urbancross_mm.toy.world.captions import describe, five_captions
from urbancross_mm.toy.world.countries import COUNTRIES, Country
from urbancross_mm.toy.world.generate import KINDS, build_scene
from urbancross_mm.toy.world.make import DEFAULT_IMAGES, make_sample
from urbancross_mm.toy.world.render import Rendering, render
from urbancross_mm.toy.world.scene import Item, Scene

__all__ = [
    'COUNTRIES',
    'DEFAULT_IMAGES',
    'KINDS',
    'Country',
    'Item',
    'Rendering',
    'Scene',
    'build_scene',
    'describe',
    'five_captions',
    'make_sample',
    'render',
    'spoken_caption',
]
