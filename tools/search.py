"""Search images in words: ``python tools/search.py CONFIG CKPT --images DIR "a query"``.

``--index LOCATION`` searches what tools/build_index.py has encoded.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write, check_outputs  # noqa: E402

if TYPE_CHECKING:
    from urbancross_mm.apis import RetrievalInferencer
    from urbancross_mm.inference.typed_queries import TypedQuery
    from urbancross_mm.structures import Gallery

TEXT_FORMATS = ('json', 'csv', 'geojson')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    add_query_arguments(parser)
    add_image_arguments(parser)
    add_output_arguments(parser)
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_intermixed_args()
    if args.topk < 1:
        parser.error(f'--topk must be at least 1, got {args.topk}')
    if args.offset < 0:
        parser.error(f'--offset must be at least 0, got {args.offset}')
    if (args.images is None) == (args.index is None):
        parser.error('give a folder with --images, or an index with --index')
    if not (args.query or args.like or args.right):
        parser.error('the query is missing: a text, an image, --like or --right')
    if (args.rerank is None) != (args.query_bank is None):
        parser.error('--rerank and --query-bank belong together: give both or none')
    if args.index and (args.rerank or args.gallery):
        parser.error('--rerank and --gallery need --images')
    return args


def add_query_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is searched for."""
    parser.add_argument(
        'query', nargs='*', help='text queries, or paths of images or of recordings to search by'
    )
    parser.add_argument(
        '--audio',
        action='store_true',
        help='the queries are spoken: recordings, or images of sound for a model that reads them',
    )
    parser.add_argument('--average', action='store_true', help='all queries are one, averaged')
    more = dict(action='append', default=[])
    parser.add_argument('--like', metavar='IMAGE|ID', help='more like this, added', **more)
    parser.add_argument('--minus', metavar='TEXT|IMAGE', help='less like this', **more)
    parser.add_argument('--right', metavar='ID', help='a hit that was right (Rocchio)', **more)
    parser.add_argument('--wrong', metavar='ID', help='a hit that was wrong (Rocchio)', **more)
    parser.add_argument(
        '--template', metavar='PROMPT', help='e.g. "an aerial image of {}"; averaged', **more
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


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is searched."""
    parser.add_argument('--images', help='folder of images to search')
    parser.add_argument(
        '--index', metavar='LOCATION', help='an index of tools/build_index.py, instead of --images'
    )
    parser.add_argument(
        '--where',
        metavar='COND',
        action='append',
        help='condition such as country=spain, near=24.94,60.17,500 or tags=harbor; may repeat',
    )
    parser.add_argument(
        '--gallery',
        help='keep the encoded images in this file; the next run encodes only new and changed ones',
    )
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave out unreadable images, and print how many'
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what comes out."""
    parser.add_argument(
        '--topk', type=int, default=5, help='number of results per query (default: 5)'
    )
    parser.add_argument(
        '--offset', type=int, default=0, help='results to skip, for the next page (default: 0)'
    )
    parser.add_argument(
        '--hide-duplicates', action='store_true', help='show one of each group of near-duplicates'
    )
    parser.add_argument(
        '--format',
        choices=['table', *TEXT_FORMATS],
        default='table',
        help='what is printed (%(default)s)',
    )
    parser.add_argument('--out', help='write .json, .csv or .geojson, or draw a grid to a .png')


def check_files(args: argparse.Namespace) -> None:
    """Refuse paths that cannot be written before the work starts."""
    if args.out and format_of(args.out) is None:
        from PIL import Image

        Image.init()
        if Image.EXTENSION.get(Path(args.out).suffix.lower()) not in Image.SAVE:
            raise ValueError(
                f'--out {args.out} must end in .json, .csv, .geojson, or the suffix of an image '
                'format that can be written, such as .png'
            )
    check_outputs([args.out] if args.out else [])
    if args.gallery and not Path(args.gallery).is_file():
        check_outputs([args.gallery])


def format_of(path: str) -> str | None:
    """The text format that a suffix names."""
    suffix = Path(path).suffix.lower().removeprefix('.')
    return suffix if suffix in TEXT_FORMATS else None


def prepare(args: argparse.Namespace) -> RetrievalInferencer:
    """Load the model, and open the index or encode the images that a gallery does not hold."""
    from urbancross_mm.apis import RetrievalInferencer, load_config
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.image_files import find_images
    from urbancross_mm.inference.queries import check_templates, read_queries
    from urbancross_mm.inference.stores import open_store
    from urbancross_mm.structures import Gallery
    from urbancross_mm.structures.filters import Filter
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    # What is wrong with conditions, images, index or bank is said before a model is loaded.
    args.where = None if args.where is None else Filter.parse(args.where, files=True)
    templates = check_templates(args.template or ('{}',))
    if args.images:
        find_images(args.images)
    else:
        open_store(args.index, read_only=True).close()
    bank = None if args.query_bank is None else read_queries(args.query_bank)
    earlier = Gallery.load(args.gallery) if args.gallery and Path(args.gallery).exists() else None
    inferencer = RetrievalInferencer(
        load_config(args.config, args.cfg_options, args.sample),
        None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint),
        device=args.device,
        rerank=None if args.rerank is None else dict(type=args.rerank),
        query_bank=bank,
        templates=templates,
    )
    if args.index:
        inferencer.open_index(args.index)
        return inferencer
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


def answer(
    args: argparse.Namespace, asked: list[TypedQuery]
) -> list[tuple[str | Path, list[dict]]]:
    """Search; a table is printed as it comes."""
    from urbancross_mm.inference.hit_formats import format_table

    inferencer = prepare(args)
    answers = []
    for shown, query in asked:
        hits = inferencer.search(
            query,
            topk=args.topk,
            where=args.where,
            offset=args.offset,
            hide_duplicates=args.hide_duplicates,
        )
        if args.format == 'table':
            print(shown, format_table(hits) or why_nothing(args), sep='\n')
        answers.append((shown, hits))
    return answers


def why_nothing(args: argparse.Namespace) -> str:
    """Why there is no hit."""
    if args.offset:
        return f'no hits after the first {args.offset}'
    if args.where:
        return f'no item passes the filter {str(args.where)!r}: longitude comes before latitude'
    return f'{args.index} holds no item: tools/build_index.py has not finished'


def main() -> None:
    """Search, print, write."""
    args = parse_args()
    from urbancross_mm.inference.hit_formats import to_text
    from urbancross_mm.inference.typed_queries import read_typed

    asked = read_typed(
        args.query, args.audio, args.average, args.like, args.minus, args.right, args.wrong
    )
    check_files(args)
    # What is printed on the way must not stand in a file of results.
    quiet = args.format != 'table'
    with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
        answers = answer(args, asked)
    if quiet:
        sys.stdout.write(to_text(answers, args.format))
    kind = format_of(args.out) if args.out else None
    if kind:
        atomic_write(args.out, to_text(answers, kind))
    elif args.out:
        from urbancross_mm.inference.hit_images import draw_answers

        draw_answers(answers, args.out)
    if args.out:
        print(
            f'{"results" if kind else "result grid"}: {args.out}',
            file=sys.stderr if quiet else None,
        )


if __name__ == '__main__':
    run_tool(main)
