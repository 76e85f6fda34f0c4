"""Check converted data before training on it.

``python tools/misc/verify_dataset.py data/ucm/annotations/ucm_{train,val,test}.json --data-root
data/ucm`` decodes every image once and reports missing or unreadable images, empty captions,
ids used twice, images or captions that splits share (exact and perceptual hash), segment files
and class maps of another size than their image, broken recordings, and counts. The exit code is
1 after an error.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
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
    parser.add_argument('--out', help='also write the report to this .json file')
    args = parser.parse_args()
    from urbancross_mm.datasets.verification.verify import verify

    check_outputs([args.out] if args.out else [])
    report = verify(
        args.annotations,
        args.data_root,
        dict(img_path=args.images),
        args.workers,
        args.distance,
        args.examples,
        not args.no_pixels,
    )
    print(report.to_text(), end='')
    if args.out:
        content = dict(files=report.rows, findings=[asdict(finding) for finding in report.findings])
        atomic_write(args.out, json.dumps(content, ensure_ascii=False, indent=1) + '\n')
    return int(report.failed)


if __name__ == '__main__':
    run_tool(main)
