"""Ask a folder of pictures: ``python tools/search.py CONFIG CKPT --images DIR "a sentence"``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from PIL import Image  # noqa: E402

from urbancross_mm.apis import (  # noqa: E402
    RetrievalInferencer, add_common_arguments, ensure_sample, list_pictures, load_config,
    resolve_checkpoint)
from urbancross_mm.structures import Gallery, RankedPicture  # noqa: E402
from urbancross_mm.utils.checkpoints import add_trust_argument  # noqa: E402
from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.visualization import RetrievalVisualizer  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument('query', nargs='+',
                        help='one or more sentences, or paths of pictures to search by')
    parser.add_argument('--images', required=True, help='folder of pictures to search')
    parser.add_argument('--topk', type=int, default=5, help='results a query (default: 5)')
    parser.add_argument('--out', help='draw the results to this picture (.png)')
    parser.add_argument('--gallery', help='keep the encoded pictures in this file and reuse them')
    parser.add_argument('--skip-bad', action='store_true',
                        help='leave out unreadable pictures, and say how many')
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> RetrievalInferencer:
    """Load the model and the pictures; reuse a saved gallery if one was named."""
    if args.sample:
        ensure_sample()
    weights = None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint)
    config = load_config(args.config, args.cfg_options, args.sample)
    inferencer = RetrievalInferencer(config, weights, device=args.device)
    if args.gallery and Path(args.gallery).is_file():
        gallery = Gallery.load(args.gallery)
        present = list_pictures(args.images)
        unreadable = set(present) - set(gallery.ids) if args.skip_bad else set()
        if gallery.ids != [path for path in present if path not in unreadable]:
            raise ValueError(f'the gallery {args.gallery} was built from other pictures than '
                             f'{args.images} holds now: delete it or name another')
        if unreadable:
            print(f'{len(unreadable)} pictures of {args.images} are not in {args.gallery}')
        inferencer.use_gallery(gallery)
    else:
        gallery = inferencer.build_index(args.images, skip_bad=args.skip_bad)
        if args.gallery:
            gallery.save(args.gallery)
    return inferencer


def main() -> None:
    """Search, print, draw."""
    args = parse_args()
    inferencer = prepare(args)
    strips = []
    for query in args.query:
        by_picture = Path(query).is_file()
        results = inferencer.search(
            **{'image' if by_picture else 'text': query}, topk=args.topk)
        print(f'{query}')
        for result in results:
            print(f'{result["rank"]:4d}  {result["score"]:.4f}  {result["img_path"]}')
        strips.append((Path(query) if by_picture else query, results))
    if args.out:
        draw(strips, args.out)


def draw(strips: list[tuple[str | Path, list[dict]]], out: str) -> None:
    """Draw the strips below each other."""
    visualizer = RetrievalVisualizer()
    drawn = [
        Image.fromarray(visualizer.draw_strip(
            query, [RankedPicture(r['img_path'], r['score']) for r in results]))
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
