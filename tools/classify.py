"""Classify scenes without training: ``tools/classify.py CONFIG CKPT --images DIR --classes FILE``.

The classes come from their names, from a few examples (``--examples``), or from both. Where
folders or annotations name the classes, accuracy and a table of the classes are printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write, check_outputs  # noqa: E402

if TYPE_CHECKING:
    from urbancross_mm.inference.classification import SceneClassifier
    from urbancross_mm.inference.embedder import Embedder


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--images', help='folder of images, annotation file or GeoTIFF')
    what.add_argument('--index', metavar='LOCATION', help='an index of tools/build_index.py')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='names, or a file with one per line; NAME=TEXT (default: the folders of the images)',
    )
    parser.add_argument(
        '--template',
        metavar='PROMPT',
        action='append',
        help='e.g. "an aerial image of {}"; several are averaged (default: the name alone)',
    )
    parser.add_argument(
        '--examples', metavar='DIR', help='folder with a folder of example images per class'
    )
    parser.add_argument(
        '--text-weight',
        type=float,
        help='share of the names in a class that has examples, 0 to 1 (default: 0)',
    )
    parser.add_argument('--out', metavar='FILE', help='write the class of every image to a .csv')
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave out unreadable images, and print how many'
    )
    parser.add_argument(
        '--batch-size', type=int, default=32, help='images per forward pass (%(default)s)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if args.out and not args.out.endswith('.csv'):
        parser.error(f'--out must end in .csv, got {args.out}')
    if args.text_weight is not None and not (args.examples and 0 <= args.text_weight <= 1):
        parser.error(f'--text-weight is 0 to 1 and needs --examples, got {args.text_weight}')
    return args


def make_classifier(
    embedder: Embedder, classes: dict[str, str], args: argparse.Namespace
) -> SceneClassifier:
    """Vectors of the classes, from names, examples or both."""
    from urbancross_mm.inference.classification import (
        SceneClassifier,
        example_vectors,
        find_examples,
        text_vectors,
    )

    weight = 1.0 if args.examples is None else args.text_weight or 0.0
    embeds: Any = 0
    if weight:
        embeds = weight * text_vectors(embedder, list(classes.values()), args.template or ['{}'])
    if args.examples:
        examples = find_examples(args.examples, list(classes))
        embeds = embeds + (1 - weight) * example_vectors(embedder, examples)
    return SceneClassifier(list(classes), embeds)


def main() -> None:
    """Classify, print, write."""
    args = parse_args()
    if args.out:
        check_outputs([args.out])
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.classification import read_classes
    from urbancross_mm.inference.classified_items import classify, items_of, label_names
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.hit_formats import to_csv
    from urbancross_mm.inference.queries import check_templates
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    check_templates(args.template or ['{}'])
    classes = read_classes(args.classes or label_names(args.images, args.index))
    embedder = Embedder.from_config(
        load_config(args.config, args.cfg_options, args.sample),
        None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint),
        device=args.device,
        batch_size=args.batch_size,
    )
    classifier = make_classifier(embedder, classes, args)
    items = items_of(embedder, args.images, args.index, args.skip_bad)
    rows, report = classify(classifier, items, args.examples)
    print(report)
    if args.out:
        atomic_write(args.out, to_csv(rows))
        print(f'classes: {args.out}')


if __name__ == '__main__':
    run_tool(main)
