"""Make a checkpoint ready to be published.

Keeps the weights and what inference needs. Leaves out the optimizer and the config of the run. The
name gets the first letters of the file's SHA-256, and the file loads with
``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_trust_argument, given_path, run_tool  # noqa: E402


def main() -> None:
    """Publish a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint file, or work directory of a training')
    parser.add_argument('out', type=given_path, help='NAME.pth; NAME-<hash>.pth is written')
    add_trust_argument(parser)
    args = parser.parse_args()
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.publishing import publish

    source = Path(resolve_checkpoint(args.checkpoint))
    path = publish(source, args.out)
    before, after = (file.stat().st_size / 1e6 for file in (source, path))
    print(f'{path} ({after:.1f} MB; {source} has {before:.1f} MB)')


if __name__ == '__main__':
    run_tool(main)
