"""Print a config with everything it inherits: ``python tools/misc/print_config.py CONFIG``."""

from __future__ import annotations

import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write  # noqa: E402


def main() -> None:
    """Print or write the merged config."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('--out', help='write it to this .py file instead')
    args = parser.parse_args()
    if args.out is not None and not args.out.endswith('.py'):
        parser.error(f'--out must end in .py, got {args.out}')
    from urbancross_mm.inference.config import load_config

    cfg = load_config(args.config, args.cfg_options, args.sample)
    if args.out is not None:
        atomic_write(args.out, cfg.pretty_text)
    else:
        print(cfg.pretty_text)


if __name__ == '__main__':
    run_tool(main)
