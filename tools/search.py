"""Ask a folder of images: ``python tools/search.py CONFIG CKPT --images DIR "a sentence"``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from PIL import Image  # noqa: E402

from urbancross_mm.apis import (  # noqa: E402
    RetrievalInferencer,
    add_common_arguments,
    ensure_sample,
    load_config,
    read_query,
    resolve_checkpoint,
)
from urbancross_mm.inference.image_files import find_images  # noqa: E402
from urbancross_mm.structures import Gallery, SearchHit  # noqa: E402
from urbancross_mm.utils.checkpoints import add_trust_argument  # noqa: E402
from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs  # noqa: E402
from urbancross_mm.visualization import RetrievalVisualizer  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument(
        'query', nargs='+', help='one or more sentences, or paths of images to search by'
    )
    parser.add_argument('--images', required=True, help='folder of images to search')
    parser.add_argument('--topk', type=int, default=5, help='results a query (default: 5)')
    parser.add_argument('--out', help='draw the results to this image (.png)')
    parser.add_argument(
        '--gallery',
        help='keep the encoded images in this file; another time '
        'only what is new or has changed is encoded',
    )
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave out unreadable images, and say how many'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if args.topk < 1:
        parser.error(f'--topk must be at least 1, got {args.topk}')
    return args


def check_files(args: argparse.Namespace) -> None:
    """Refuse, before the work, what could not be written after it."""
    if args.out:
        Image.init()
        if Image.EXTENSION.get(Path(args.out).suffix.lower()) not in Image.SAVE:
            raise ValueError(
                f'--out {args.out} must end in the suffix of an image that can be '
                'written, such as .png'
            )
        check_outputs([args.out])
    if args.gallery and not Path(args.gallery).is_file():
        check_outputs([args.gallery])


def prepare(args: argparse.Namespace) -> RetrievalInferencer:
    """Load the model and the images; what a saved gallery knows is not encoded again."""
    if args.sample:
        ensure_sample()
    find_images(args.images)  # a folder without images is refused before a model is loaded
    earlier = Gallery.load(args.gallery) if args.gallery and Path(args.gallery).exists() else None
    weights = None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint)
    config = load_config(args.config, args.cfg_options, args.sample)
    inferencer = RetrievalInferencer(config, weights, device=args.device)
    gallery = inferencer.build_index(args.images, skip_bad=args.skip_bad, gallery=earlier)
    if args.gallery and not (earlier and earlier.is_same(gallery)):
        keep(gallery, args.gallery, earlier is not None)
    return inferencer


def keep(gallery: Gallery, path: str, present: bool) -> None:
    """Save the gallery; one that others keep up to date serves as it is."""
    try:
        gallery.save(path)
    except OSError as error:
        if not present:
            raise
        print(f'{path} stays as it was: {error}', file=sys.stderr)


def main() -> None:
    """Search, print, draw."""
    args = parse_args()
    queries = [read_query(query) for query in args.query]
    check_files(args)
    inferencer = prepare(args)
    strips = []
    for query in queries:
        kind = 'image' if isinstance(query, Path) else 'text'
        results = inferencer.search(**{kind: query}, topk=args.topk)
        print(query)
        for result in results:
            print(f'{result["rank"]:4d}  {result["score"]:.4f}  {result["img_path"]}')
        strips.append((query, results))
    if args.out:
        draw(strips, args.out)


def draw(strips: list[tuple[str | Path, list[dict]]], out: str) -> None:
    """Draw the strips below each other."""
    visualizer = RetrievalVisualizer()
    drawn = [
        Image.fromarray(
            visualizer.draw_grid(query, [SearchHit(r['img_path'], r['score']) for r in results])
        )
        for query, results in strips
    ]
    sheet = Image.new('RGB', (max(s.width for s in drawn), sum(s.height for s in drawn)), 'white')
    top = 0
    for strip in drawn:
        sheet.paste(strip, (0, top))
        top += strip.height
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)
    print(f'drawn to {out}')


if __name__ == '__main__':
    run_tool(main)
