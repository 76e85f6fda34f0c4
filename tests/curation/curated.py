"""A small curated dataset, for the tests of the export and of the dataset card."""

from pathlib import Path
from typing import Any

from PIL import Image

from tests.datasets import tiny
from urbancross_mm.curation import ImageRecord, ImageStage, Outcome, Workspace, run_stage
from urbancross_mm.curation.stages.export_stage import ExportStage
from urbancross_mm.curation.stages.segment_stage import SegmentStage
from urbancross_mm.curation.stages.split_stage import SplitStage
from urbancross_mm.geo.positions import METERS_A_DEGREE, describe_bounds

CAPTIONS = (
    'A school beside a road.',
    'Ein Wald; zwei Wege, "alt".',
    '一所学校，有树。',
    'Пруд <b>',
)


class FixedScores(ImageStage):
    """Scores images by their number."""

    name = 'score'
    reads = ('sha', 'captions')

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        return dict(model='fixed')

    def process(self, images: list[ImageRecord], workspace: Workspace) -> list[Outcome]:
        return [
            Outcome(dict(score=round(0.2 + int(image.fields['sha']) / 200, 6))) for image in images
        ]


def make_images(out: Path, count: int = 24) -> list[ImageRecord]:
    """Tiles side by side, six a row, with captions in four scripts."""
    (out / 'images/city').mkdir(parents=True, exist_ok=True)
    images = []
    for n in range(count):
        name = f'city/tile_{n:02d}.png'
        Image.fromarray(tiny.image(seed=n)).save(out / 'images' / name)
        step = 100 / METERS_A_DEGREE
        west, south = n % 6 * step, n // 6 * step
        images.append(
            ImageRecord(
                name,
                dict(
                    sha=str(n),
                    width=48,
                    height=40,
                    label='school' if n % 2 else None,
                    source='city.tif',
                    focus=['amenity of school'] if n % 2 else [],
                    around=['road of service, paved'],
                    captions=[CAPTIONS[n % 4], f'Place {n}.'],
                    **describe_bounds([west, south, west + step, south + step]),
                ),
            )
        )
    return images


def curate(
    out: Path, images: list[ImageRecord], split: dict[str, Any] | None = None, **export: Any
) -> list[ImageRecord]:
    """Score, segment, split and export."""
    workspace = Workspace(out, out)
    stages = [
        FixedScores(),
        SegmentStage(dict(type='ColorSegmenter'), area=0.02, size=32),
        SplitStage(**(split or dict(block_meters=100))),
        ExportStage(**{**dict(name='mycity', min_count=1), **export}),
    ]
    for stage in stages:
        images, _ = run_stage(stage, images, workspace)
    return images
