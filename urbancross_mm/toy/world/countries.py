"""The three countries of the sample world: same objects, other appearance, layout and wording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Country:
    """How one country looks from the air and how people there describe it.

    Args:
        name (str): Lower-case key, also the domain name.
        code (str): Source code in image names, as in ``a198234555_FI_19.jpg``.
        gsd (float): Ground sampling distance of the native tile in meters.
        tile_px (int): Native tile width. ``gsd * tile_px`` meters are shown in one image.
        box (tuple): West, south, east, north in degrees; images lie inside.
        streets (str): ``curved``, ``grid`` or ``radial``.
        roof_shape (str): ``gable``, ``hip`` or ``flat``.
        roofs (Mapping): Roof color to probability.
        house (tuple): Shortest and longest house in meters.
        gap (float): Room kept free around a house in meters.
        density (float): Number of houses relative to the plan of a scene kind.
        ground (Mapping): Ground cover to probability.
        palette (Mapping): Color or material name to RGB.
        sun (tuple): Shadow, meters east and south a meter of height.
        tint (tuple): Gain of the three channels.
        contrast (float): Around mid-gray; 1 changes nothing.
        blur (float): Gaussian sigma in pixels of the finished image.
        noise (float): Standard deviation of the sensor noise in gray levels.
        trees (tuple): Fewest and most single trees.
        crown (tuple): Smallest and largest crown radius in meters.
        scenes (Mapping): Scene kind to relative frequency; what is not named has 1.
        words (Mapping): Object kind to the local (singular, plural).
    """

    name: str
    code: str
    gsd: float
    tile_px: int
    box: tuple[float, float, float, float]
    streets: str
    roof_shape: str
    roofs: Mapping[str, float]
    house: tuple[float, float]
    gap: float
    density: float
    ground: Mapping[str, float]
    palette: Mapping[str, RGB]
    sun: tuple[float, float]
    tint: tuple[float, float, float]
    contrast: float
    blur: float
    noise: float
    trees: tuple[int, int]
    crown: tuple[float, float]
    scenes: Mapping[str, float]
    words: Mapping[str, tuple[str, str]]

    @property
    def extent(self) -> float:
        """Width of an image on the ground in meters."""
        return self.gsd * self.tile_px


FINLAND = Country(
    name='finland',
    code='FI',
    gsd=0.5,
    tile_px=320,
    box=(21.5, 60.2, 29.5, 66.0),
    streets='curved',
    roof_shape='gable',
    roofs={'grey': 0.35, 'brown': 0.3, 'red': 0.2, 'black': 0.15},
    house=(10.0, 15.0),
    gap=4.0,
    density=1.0,
    ground={'grass': 0.75, 'soil': 0.25},
    palette={
        'grass': (104, 118, 78),
        'dry': (136, 130, 96),
        'soil': (126, 112, 98),
        'asphalt': (104, 106, 112),
        'paved': (134, 136, 140),
        'sand': (172, 162, 140),
        'sea': (36, 56, 78),
        'canopy': (46, 66, 48),
        'tree': (44, 68, 46),
        'pale': (206, 208, 210),
        'red': (138, 58, 50),
        'brown': (98, 76, 62),
        'grey': (132, 136, 142),
        'white': (214, 218, 222),
        'black': (52, 54, 60),
        'orange': (170, 104, 66),
        'blue': (56, 88, 132),
        'green': (74, 110, 74),
        'yellow': (182, 168, 96),
        'beige': (176, 166, 146),
    },
    sun=(0.55, -0.75),
    tint=(0.95, 1.0, 1.07),
    contrast=0.92,
    blur=0.55,
    noise=4.0,
    trees=(18, 46),
    crown=(2.2, 3.6),
    scenes={
        'forest': 2.2,
        'pond': 1.8,
        'sparseresidential': 1.6,
        'port': 1.4,
        'river': 1.3,
        'beach': 0.5,
        'denseresidential': 0.6,
        'resort': 0.5,
        'tenniscourt': 0.7,
    },
    words={
        'house': ('cottage', 'cottages'),
        'pond': ('lake', 'lakes'),
        'forest': ('conifer forest', 'conifer forests'),
        'lot': ('parking area', 'parking areas'),
        'tree': ('spruce', 'spruces'),
        'warehouse': ('hall', 'halls'),
        'field': ('hay field', 'hay fields'),
        'boat': ('motorboat', 'motorboats'),
    },
)

GERMANY = Country(
    name='germany',
    code='DE',
    gsd=0.2,
    tile_px=600,
    box=(11.6, 51.5, 14.6, 53.4),
    streets='grid',
    roof_shape='hip',
    roofs={'red': 0.42, 'orange': 0.26, 'brown': 0.16, 'grey': 0.16},
    house=(10.0, 14.0),
    gap=2.4,
    density=1.6,
    ground={'grass': 0.88, 'soil': 0.12},
    palette={
        'grass': (114, 140, 86),
        'dry': (164, 160, 104),
        'soil': (152, 126, 98),
        'asphalt': (132, 132, 134),
        'paved': (160, 158, 154),
        'sand': (206, 190, 152),
        'sea': (62, 96, 104),
        'canopy': (60, 98, 52),
        'tree': (62, 108, 52),
        'pale': (226, 226, 222),
        'red': (180, 74, 56),
        'brown': (128, 92, 70),
        'grey': (150, 150, 150),
        'white': (232, 232, 228),
        'black': (66, 64, 64),
        'orange': (206, 122, 72),
        'blue': (64, 112, 170),
        'green': (72, 140, 78),
        'yellow': (212, 190, 84),
        'beige': (200, 184, 154),
    },
    sun=(0.35, -0.45),
    tint=(1.0, 1.02, 0.97),
    contrast=1.05,
    blur=0.35,
    noise=3.0,
    trees=(10, 30),
    crown=(2.6, 4.4),
    scenes={
        'farmland': 1.8,
        'industrial': 1.5,
        'denseresidential': 1.4,
        'playground': 1.3,
        'church': 1.4,
        'storagetanks': 1.2,
        'beach': 0.4,
        'baseballfield': 0.6,
        'port': 0.7,
    },
    words={
        'house': ('residential building', 'residential buildings'),
        'pond': ('pond', 'ponds'),
        'forest': ('mixed woodland', 'mixed woodlands'),
        'lot': ('car park', 'car parks'),
        'tree': ('deciduous tree', 'deciduous trees'),
        'warehouse': ('factory building', 'factory buildings'),
        'field': ('crop field', 'crop fields'),
        'track': ('athletics ground', 'athletics grounds'),
    },
)

SPAIN = Country(
    name='spain',
    code='ES',
    gsd=0.1,
    tile_px=860,
    box=(-6.5, 37.0, -0.8, 42.5),
    streets='radial',
    roof_shape='flat',
    roofs={'orange': 0.34, 'white': 0.3, 'beige': 0.22, 'red': 0.14},
    house=(9.0, 14.0),
    gap=0.9,
    density=1.4,
    ground={'dry': 0.5, 'soil': 0.3, 'grass': 0.2},
    palette={
        'grass': (146, 154, 100),
        'dry': (190, 174, 132),
        'soil': (196, 168, 136),
        'asphalt': (150, 146, 142),
        'paved': (190, 180, 164),
        'sand': (226, 206, 164),
        'sea': (44, 116, 142),
        'canopy': (98, 112, 66),
        'tree': (88, 108, 58),
        'pale': (240, 236, 228),
        'red': (196, 92, 68),
        'brown': (158, 116, 84),
        'grey': (172, 168, 162),
        'white': (244, 240, 232),
        'black': (84, 78, 74),
        'orange': (218, 140, 92),
        'blue': (62, 142, 192),
        'green': (92, 148, 88),
        'yellow': (224, 202, 118),
        'beige': (222, 200, 166),
    },
    sun=(-0.3, -0.3),
    tint=(1.03, 1.0, 0.95),
    contrast=1.1,
    blur=0.25,
    noise=2.5,
    trees=(5, 22),
    crown=(1.6, 2.8),
    scenes={
        'resort': 2.0,
        'denseresidential': 1.7,
        'tenniscourt': 1.5,
        'beach': 1.5,
        'stadium': 1.3,
        'center': 1.2,
        'forest': 0.5,
        'pond': 0.6,
        'sparseresidential': 0.7,
    },
    words={
        'house': ('villa', 'villas'),
        'pond': ('reservoir', 'reservoirs'),
        'forest': ('pine grove', 'pine groves'),
        'lot': ('parking lot', 'parking lots'),
        'tree': ('olive tree', 'olive trees'),
        'warehouse': ('industrial unit', 'industrial units'),
        'field': ('dry field', 'dry fields'),
        'court': ('padel court', 'padel courts'),
    },
)

COUNTRIES: dict[str, Country] = {c.name: c for c in (FINLAND, GERMANY, SPAIN)}
