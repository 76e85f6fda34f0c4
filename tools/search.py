"""Search a folder of images: ``python tools/search.py CONFIG CKPT --images DIR "a query"``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs  # noqa: E402

if TYPE_CHECKING:
    from urbancross_mm.apis import RetrievalInferencer
    from urbancross_mm.structures import Gallery


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument(
        'query',
        nargs='+',
        help='one or more text queries, or paths of images or of recordings to search by',
    )
    parser.add_argument(
        '--audio',
        action='store_true',
        help='the queries are spoken: recordings, or images of sound for a model that reads them',
    )
    parser.add_argument('--images', required=True, help='folder of images to search')
    parser.add_argument(
        '--topk', type=int, default=5, help='number of results per query (default: 5)'
    )
    parser.add_argument('--out', help='draw a result grid to this image (.png)')
    parser.add_argument(
        '--gallery',
        help='keep the encoded images in this file; the next run encodes only new and changed ones',
    )
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave out unreadable images, and print how many'
    )
    parser.add_argument(
        '--rerank',
        choices=['multivariate', 'inverted_softmax'],
        help='re-rank what a text finds by other queries; needs --query-bank',
    )
    parser.add_argument(
        '--query-bank',
        help='the other queries: a file of texts, one a line, or an annotation file (of training)',
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if args.topk < 1:
        parser.error(f'--topk must be at least 1, got {args.topk}')
    if (args.rerank is None) != (args.query_bank is None):
        parser.error('--rerank and --query-bank belong together: give both or none')
    return args


def check_files(args: argparse.Namespace) -> None:
    """Refuse paths that cannot be written before the work starts."""
    if args.out:
        from PIL import Image

        Image.init()
        if Image.EXTENSION.get(Path(args.out).suffix.lower()) not in Image.SAVE:
            raise ValueError(
                f'--out {args.out} must end in the suffix of an image format that can be '
                'written, such as .png'
            )
        check_outputs([args.out])
    if args.gallery and not Path(args.gallery).is_file():
        check_outputs([args.gallery])


def prepare(args: argparse.Namespace) -> RetrievalInferencer:
    """Load the model and encode the images that a saved gallery does not hold."""
    from urbancross_mm.apis import RetrievalInferencer, load_config
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.image_files import find_images
    from urbancross_mm.inference.queries import read_queries
    from urbancross_mm.structures import Gallery
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    # A folder without images, or a bank without texts, is refused before a model is loaded.
    find_images(args.images)
    bank = None if args.query_bank is None else read_queries(args.query_bank)
    earlier = Gallery.load(args.gallery) if args.gallery and Path(args.gallery).exists() else None
    weights = None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint)
    config = load_config(args.config, args.cfg_options, args.sample)
    rerank = None if args.rerank is None else dict(type=args.rerank)
    inferencer = RetrievalInferencer(
        config, weights, device=args.device, rerank=rerank, query_bank=bank
    )
    gallery = inferencer.build_index(args.images, skip_bad=args.skip_bad, gallery=earlier)
    if args.gallery and not (earlier and earlier.is_same(gallery)):
        save_gallery(gallery, args.gallery, earlier is not None)
    return inferencer


def save_gallery(gallery: Gallery, path: str, replaces: bool) -> None:
    """Save the gallery; an earlier one that cannot be replaced stays in use."""
    try:
        gallery.save(path)
    except OSError as error:
        if not replaces:
            raise
        print(f'warning: {path} is not updated: {error}', file=sys.stderr)


def main() -> None:
    """Search, print, draw."""
    args = parse_args()
    from urbancross_mm.inference.image_files import read_query

    if args.audio:
        queries: list[str | Path] = [Path(query) for query in args.query]
        for query in queries:
            if not Path(query).is_file():
                raise FileNotFoundError(f'--audio takes recordings, and there is no file {query}')
    else:
        queries = [read_query(query) for query in args.query]
    kinds = ['audio' if args.audio else kind_of(query) for query in queries]
    check_files(args)
    inferencer = prepare(args)
    answers = []
    for kind, query in zip(kinds, queries):
        results = inferencer.search(**{kind: query}, topk=args.topk)
        print(query)
        for result in results:
            print(f'{result["rank"]:4d}  {result["score"]:.4f}  {result["img_path"]}')
        # A recording has no image to draw: its name.
        answers.append((query.name if kind == 'audio' else query, results))
    if args.out:
        draw(answers, args.out)


def kind_of(query: str | Path) -> str:
    """The modality of a query."""
    from urbancross_mm.utils.image_files import SOUND

    if not isinstance(query, Path):
        return 'text'
    return 'audio' if SOUND.fits(query) else 'image'


def draw(answers: list[tuple[str | Path, list[dict]]], out: str) -> None:
    """Draw a result grid, one row per query."""
    from PIL import Image

    from urbancross_mm.structures import SearchHit
    from urbancross_mm.visualization import RetrievalVisualizer

    visualizer = RetrievalVisualizer()
    rows = [
        Image.fromarray(
            visualizer.draw_grid(query, [SearchHit(r['img_path'], r['score']) for r in results])
        )
        for query, results in answers
    ]
    grid = Image.new('RGB', (max(r.width for r in rows), sum(r.height for r in rows)), 'white')
    top = 0
    for row in rows:
        grid.paste(row, (0, top))
        top += row.height
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    grid.save(out)
    print(f'result grid: {out}')


if __name__ == '__main__':
    run_tool(main)
