"""Copy an index: ``python tools/misc/copy_index.py SOURCE TARGET``.

Source and target are folders, LanceDB (``NAME.lance``, ``s3://...``) or PostgreSQL
(``postgresql://...?table=NAME``). A copy that was stopped goes on when it is started again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import run_tool  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', help='index to read')
    parser.add_argument('target', help='index to write; made if there is none')
    return parser.parse_args()


def main() -> None:
    """Copy."""
    args = parse_args()
    from tqdm import tqdm

    from urbancross_mm.inference.stores import copy_store, open_store

    with (
        open_store(args.source, read_only=True) as source,
        open_store(args.target, source.fingerprint, create=True) as target,
    ):
        with tqdm(total=len(source), desc='copy', unit='item', mininterval=0.5) as bar:
            added, updated = copy_store(source, target, bar.update)
        print(f'{added} items added, {updated} updated, {len(target)} in the target')


if __name__ == '__main__':
    run_tool(main)
