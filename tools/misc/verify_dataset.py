"""Check converted data before training on it.

``python tools/misc/verify_dataset.py data/ucm/annotations/ucm_{train,val,test}.json --data-root
data/ucm`` decodes every image once and reports missing or unreadable images, empty captions,
ids used twice, images or captions that splits share (exact and perceptual hash), segment files
and class maps of another size than their image, broken recordings, and counts. The exit code is
1 after an error.

``--against configs/urbancross_rsicd.py`` looks for its images in another dataset, too: an identical
or similar one is an error, and ``--pairs FILE`` lists all of them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from dataclasses import asdict, astuple, fields
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write, check_outputs  # noqa: E402


def main() -> int:
    """Verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', nargs='+', help='annotation files of one dataset')
    parser.add_argument('--data-root', required=True, help='folder with images/, segments/, audio/')
    parser.add_argument('--images', default='images', help='folder of images below --data-root')
    parser.add_argument(
        '--distance',
        type=int,
        default=2,
        help='bits of a 64-bit difference hash that may differ between similar images',
    )
    parser.add_argument('--examples', type=int, default=5, help='examples of each finding')
    parser.add_argument('--workers', type=int, default=2, help='threads that decode')
    parser.add_argument(
        '--no-pixels',
        action='store_true',
        help='only look for the files: no decoding, sizes and hashes',
    )
    parser.add_argument(
        '--against',
        nargs='+',
        default=[],
        metavar='CONFIG|ANNOTATIONS',
        help='other datasets, which must share no image with this one: configs, or annotation '
        'files in a folder annotations beside images',
    )
    parser.add_argument('--pairs', help='write every shared image to this .csv file')
    parser.add_argument('--out', help='also write the report to this .json file')
    args = parser.parse_args()
    from urbancross_mm.datasets.verification.report import SharedImage
    from urbancross_mm.datasets.verification.verify import verify

    if args.pairs and not args.against:
        parser.error('--pairs lists the images that --against finds')
    check_outputs([path for path in (args.out, args.pairs) if path])
    report = verify(
        args.annotations,
        args.data_root,
        dict(img_path=args.images),
        args.workers,
        args.distance,
        args.examples,
        not args.no_pixels,
        [pair for name in args.against for pair in annotations_of(name, args.images)],
    )
    print(report.to_text(), end='')
    if args.out:
        content = dict(files=report.rows, findings=[asdict(finding) for finding in report.findings])
        atomic_write(args.out, json.dumps(content, ensure_ascii=False, indent=1) + '\n')
    if args.pairs:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator='\n')
        writer.writerow([field.name for field in fields(SharedImage)])
        writer.writerows(map(astuple, report.shared))
        atomic_write(args.pairs, table.getvalue())
    return int(report.failed)


def annotations_of(name: str, images: str) -> list[tuple[str, str]]:
    """The annotation files of a config, or one of them, and the folder of images of each.

    Args:
        name (str): A config, or an annotation file.
        images (str): Folder of images below the data root, where a config does not say.

    Returns:
        list[tuple[str, str]]: Each file once.
    """
    if not name.endswith('.py'):
        return [(name, str(Path(name).resolve().parent.parent / images))]
    from urbancross_mm.inference.config import LOADERS, load_config
    from urbancross_mm.utils.config import nested_dicts

    cfg = load_config(name)
    files = {}
    for node in nested_dicts([cfg.get(loader) for loader in LOADERS]):
        if 'ann_file' in node:
            root = Path(node.get('data_root') or '')
            folder = (node.get('data_prefix') or {}).get('img_path', images)
            files[str(root / node['ann_file'])] = str(root / folder)
    return list(files.items())


if __name__ == '__main__':
    run_tool(main)
