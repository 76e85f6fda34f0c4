"""Speed of each curation stage, redundant encodings, and bytes of the segments.

Tiles and map are those of the toy world. The scorer is CLIP ViT-B/32 with random weights, which is
as fast as a trained one. Captions come from templates. Segments come from colors or from a SAM with
random weights, which finds fewer masks than a trained one. A second run shows the cost of resuming.

    python benchmarks/curation.py --images 100 --size 512
    python benchmarks/curation.py --images 10 --size 512 --sam vit_b
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timing  # before torch: it pins the threads, and finds the package
from mmengine.config import Config
from PIL import Image

from urbancross_mm.curation import (
    BaseStage,
    CaptionStage,
    ExportStage,
    ImageRecord,
    RefineStage,
    RetrieverScorer,
    ScoreStage,
    SegmentStage,
    SplitStage,
    TagStage,
    TileStage,
    Workspace,
    run_stage,
)
from urbancross_mm.curation.segments.segment_choice import on_white
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar
from urbancross_mm.toy.world import make_sample
from urbancross_mm.utils.images import read_image

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'curation' / 'urbancross.py'
JPEG_QUALITY = 75


def main() -> None:
    """Curate twice and print the tables."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_sample(
            root / 'sample',
            dict.fromkeys(('germany', 'spain', 'rsicd', 'rsitmd', 'ucm'), 10)
            | dict(finland=args.images),
            image_size=args.size,
            workers=1,
        )
        workspace = Workspace(root / 'sample/urbancross/Finland/images', root / 'out')
        seen = count_encodings()
        segmenter = sam(args.sam, root) if args.sam else dict(type='ColorSegmenter')
        first, images = run(workspace, args.scorer, segmenter)
        again, _ = run(workspace, args.scorer, segmenter)
        print(
            timing.settings(
                images=args.images,
                size=args.size,
                scorer=args.scorer,
                segmenter=args.sam or 'color',
            )
            + '\n'
        )
        print(
            timing.markdown(
                ['stage', 'images/s', 'images/s, nothing to do'],
                [
                    [name, f'{args.images / seconds:.3g}', f'{args.images / again[name]:.0f}']
                    for name, seconds in first.items()
                ],
            )
            + '\n'
        )
        print(encodings(seen, images) + '\n')
        print(storage(workspace, images))


def run(
    workspace: Workspace, scorer: bool, segmenter: dict[str, Any]
) -> tuple[dict[str, float], list[ImageRecord]]:
    """Run every stage. Returns the CPU seconds of each, and the images."""
    with_scorer: dict[str, Any] = dict(scorer=clip_scorer()) if scorer else {}
    tiles = TileStage()
    stages: list[BaseStage] = [
        tiles,
        TagStage(['../tags.geojson']),
        CaptionStage(dict(type='TemplateCaptioner')),
        RefineStage(),
        *([ScoreStage(**with_scorer)] if scorer else []),
        SegmentStage(segmenter, area=0.005, **with_scorer),
        SplitStage(block_meters=0),
        ExportStage('bench', min_count=1),
    ]
    images = tiles.discover(workspace)
    seconds = {}
    for stage in stages:
        start = time.process_time()
        images, _ = run_stage(stage, images, workspace)
        seconds[stage.name] = time.process_time() - start
    return seconds, images


def sam(model_type: str, folder: Path) -> dict[str, Any]:
    """A segmenter with random weights, saved as published ones are."""
    import segment_anything
    import torch

    torch.manual_seed(0)
    path = folder / f'{model_type}.pth'
    torch.save(segment_anything.sam_model_registry[model_type]().state_dict(), path)
    return dict(type='SamSegmenter', model_type=model_type, checkpoint=str(path))


def clip_scorer() -> dict[str, Any]:
    """The scorer of UrbanCross's config, without its weights."""
    scorer = Config.fromfile(CONFIG).scorer.to_dict()
    for tower in ('image_encoder', 'text_encoder'):
        scorer['model'][tower]['pretrained'] = None
    return scorer


def count_encodings() -> dict[str, list[bytes]]:
    """Record a hash of everything that the scorer encodes."""
    seen: dict[str, list[bytes]] = dict(images=[], texts=[])
    images_of, texts_of = RetrieverScorer.encode_images, RetrieverScorer.encode_texts

    def encode_images(self: RetrieverScorer, images: list[np.ndarray]) -> np.ndarray:
        seen['images'] += [_hash(image.tobytes()) for image in images]
        return images_of(self, images)

    def encode_texts(self: RetrieverScorer, some: list[str]) -> np.ndarray:
        seen['texts'] += [_hash(text.encode()) for text in some]
        return texts_of(self, some)

    RetrieverScorer.encode_images = encode_images  # type: ignore[method-assign]
    RetrieverScorer.encode_texts = encode_texts  # type: ignore[method-assign]
    return seen


def encodings(seen: dict[str, list[bytes]], images: list[ImageRecord]) -> str:
    """How often the scorer encoded something again, over both runs."""
    rows = [
        [what, str(len(some)), str(len(set(some))), str(len(some) - len(set(some)))]
        for what, some in seen.items()
    ]
    return timing.markdown(
        [f'encoded for {len(images)} images', 'in all', 'distinct', 'redundant'], rows
    )


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def storage(workspace: Workspace, images: list[ImageRecord]) -> str:
    """Bytes of the segments per image: run-length masks, and one JPEG per segment."""
    ours = theirs = count = 0
    for image in images:
        path = workspace.out / 'segments' / image.fields['segments']
        pixels, _ = read_image(str(workspace.image_path(image)))
        masks = decode_masks(read_sidecar(path))
        for mask in masks:
            buffer = io.BytesIO()
            Image.fromarray(on_white(pixels, mask)).save(buffer, 'jpeg', quality=JPEG_QUALITY)
            theirs += len(buffer.getvalue())
        ours, count = ours + path.stat().st_size, count + len(masks)
    share = len(images)
    return timing.markdown(
        ['segments', 'per image', 'ratio'],
        [
            ['number', f'{count / share:.1f}', ''],
            ['one JPEG per segment (published layout)', f'{theirs / share / 1000:.1f} kB', '1.00'],
            ['run-length masks', f'{ours / share / 1000:.1f} kB', f'{ours / theirs:.2f}'],
        ],
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--images', type=int, default=100)
    parser.add_argument('--size', type=int, default=512, help='side of a tile in pixels')
    parser.add_argument(
        '--scorer',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='score with CLIP ViT-B/32',
    )
    parser.add_argument('--sam', choices=('vit_b', 'vit_l', 'vit_h'), help='segment with this SAM')
    return parser.parse_args()


if __name__ == '__main__':
    main()
