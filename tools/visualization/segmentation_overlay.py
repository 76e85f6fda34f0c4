"""Draw the class maps that a model gives a folder of images, and list the classes of each image.

``python tools/visualization/segmentation_overlay.py CONFIG CHECKPOINT --images DIR --out OUT``
writes for each image a sheet with the image, its class map, both together and a legend, and
``classes.json``: the share of each image that each class covers. A run that was stopped goes on:
sheets that the same weights have drawn stay.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import (  # noqa: E402
    add_common_arguments,
    add_trust_argument,
    given_path,
    run_tool,
)
from urbancross_mm.utils.files import atomic_write, check_outputs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.image_files import ImageSet
    from urbancross_mm.inference.segmentation import Legend

# In the texts of a sheet.
MADE_BY, CLASSES = 'fingerprint', 'classes'
LIST = 'classes.json'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": untrained')
    parser.add_argument('--images', type=given_path, required=True, help='folder of images')
    parser.add_argument('--out', type=given_path, required=True, help='folder for the sheets')
    parser.add_argument('--overwrite', action='store_true', help='draw sheets again that exist')
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images per forward pass (default: 8)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}')
    if args.out.resolve().is_relative_to(args.images.resolve()):
        parser.error(f'--out {args.out} lies in --images {args.images}: the sheets are no images')
    return args


def read_sheet(path: Path, fingerprint: str) -> dict[str, float] | None:
    """Read the shares in a sheet; None if there is none, or other weights have drawn it."""
    from PIL import Image

    try:
        with Image.open(path) as sheet:
            texts = getattr(sheet, 'text', {})
            drawn = texts.get(MADE_BY) == fingerprint
            return json.loads(texts[CLASSES]) if drawn else None
    except (OSError, KeyError, ValueError):
        return None


def draw_batch(
    embedder: Embedder, legend: Legend, paths: list[str], sheets: list[Path]
) -> Iterator[dict[str, float]]:
    """Segment images, draw a sheet of each, and yield its shares."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from urbancross_mm.inference.segmentation import class_shares
    from urbancross_mm.utils.images import read_image
    from urbancross_mm.visualization import draw_class_map

    for path, sheet, class_map in zip(paths, sheets, embedder.segment(paths)):
        shares = class_shares(class_map, legend.names)
        drawing = draw_class_map(read_image(path)[0], class_map, shares, *legend)
        texts, content = PngInfo(), io.BytesIO()
        texts.add_itxt(MADE_BY, embedder.fingerprint)
        texts.add_itxt(CLASSES, json.dumps(shares))
        Image.fromarray(drawing).save(content, 'png', pnginfo=texts)
        atomic_write(sheet, content.getvalue())
        yield shares


def draw_missing(
    embedder: Embedder, legend: Legend, images: ImageSet, args: argparse.Namespace
) -> tuple[dict[str, dict[str, float]], int]:
    """Draw what is not there; shares of every image, and how many sheets were there."""
    from tqdm import tqdm

    sheets = {name: args.out / f'{name}.png' for name in images.names}
    known = {
        name: None if args.overwrite else read_sheet(sheet, embedder.fingerprint)
        for name, sheet in sheets.items()
    }
    paths = dict(zip(images.names, images.paths))
    missing = [name for name, shares in known.items() if shares is None]
    with tqdm(total=len(missing), desc='segment', unit='image', disable=not missing) as bar:
        for start in range(0, len(missing), args.batch_size):
            some = missing[start : start + args.batch_size]
            places = [paths[name] for name in some], [sheets[name] for name in some]
            for name, shares in zip(some, draw_batch(embedder, legend, *places)):
                known[name] = shares
                bar.update()
    return {name: shares or {} for name, shares in known.items()}, len(known) - len(missing)


def main() -> None:
    """Segment, draw, list."""
    args = parse_args()
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.image_files import find_images
    from urbancross_mm.inference.segmentation import read_legend
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    check_outputs([args.out / LIST])
    images = find_images(args.images)
    if images.remark:
        print(images.remark)
    cfg = load_config(args.config, args.cfg_options, args.sample)
    checkpoint = None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint)
    embedder = Embedder.from_config(cfg, checkpoint, device=args.device, batch_size=args.batch_size)
    legend = read_legend(embedder.model, checkpoint, cfg)
    shares, there = draw_missing(embedder, legend, images, args)
    atomic_write(args.out / LIST, json.dumps(shares, indent=1) + '\n')
    print(f'{len(shares)} sheets ({there} were there) and {LIST} in {args.out}')


if __name__ == '__main__':
    run_tool(main)
