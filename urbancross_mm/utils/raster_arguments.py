"""Arguments of the tools that search in rasters: equal ones share what is encoded."""

from __future__ import annotations

import argparse

from urbancross_mm.utils.cli import given_path

MODES = ('windows', 'coarse-to-fine', 'dense')


def add_raster_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--mode``, ``--scales``, ``--bands`` and ``--cache``.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--mode',
        default='windows',
        choices=MODES,
        help='encode all windows; large ones first, and small ones where they score best; or every '
        'position of a feature map (default: %(default)s)',
    )
    parser.add_argument(
        '--scales',
        type=_from_one,
        nargs='+',
        default=[256, 512, 768],
        metavar='PIXELS',
        help='sides of the windows in pixels (default: 256 512 768)',
    )
    parser.add_argument(
        '--bands',
        type=_from_one,
        nargs=3,
        metavar=('RED', 'GREEN', 'BLUE'),
        help='bands to show as red, green and blue (default: what the file says)',
    )
    parser.add_argument(
        '--cache', type=given_path, help='folder for what is encoded (default: that of the raster)'
    )


def _from_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be a whole number from 1, got {text!r}')
    return number
