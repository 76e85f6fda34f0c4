"""Speak the captions of annotations with eSpeak NG, and name the recordings in them.

``python tools/misc/speak_captions.py data/ucm/annotations/ucm_{train,val,test}.json --out
data/ucm/audio`` reads every caption in a voice and at a speed that are drawn for it, writes 16 kHz
FLAC files and adds ``audio_paths`` to the annotations. The test split has voices of its own. An
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import given_path, run_tool  # noqa: E402


def main() -> None:
    """Speak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'annotations', type=given_path, nargs='+', help='annotation files of one dataset'
    )
    parser.add_argument(
        '--out', type=given_path, required=True, help='folder of the recordings: DATASET/audio'
    )
    parser.add_argument(
        '--voices',
        nargs='+',
        default=[],
        metavar='VOICE',
        help='for all splits but test, such as en-us or en-gb+f3 (default: ten; espeak-ng '
        '--voices=en lists voices, --voices=variant what may follow +)',
    )
    parser.add_argument(
        '--test-voices',
        nargs='+',
        default=[],
        metavar='VOICE',
        help='for the split test (default: four others)',
    )
    parser.add_argument(
        '--speeds',
        type=int,
        nargs=2,
        default=[140, 190],
        metavar=('SLOW', 'FAST'),
        help='words a minute, slowest and fastest (%(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of voices and speeds (%(default)s)')
    parser.add_argument(
        '--suffix', choices=['.flac', '.wav'], default='.flac', help='format (%(default)s)'
    )
    parser.add_argument('--workers', type=int, default=2, help='threads (%(default)s)')
    parser.add_argument(
        '--force', action='store_true', help='replace recordings that the annotations name already'
    )
    args = vars(parser.parse_args())
    from urbancross_mm.datasets.converters.options import print_counts
    from urbancross_mm.datasets.converters.spoken_captions import Options, convert

    listed = {key: tuple(args.pop(key)) for key in ('annotations', 'speeds')}
    voices = {key: tuple(args.pop(key)) for key in ('voices', 'test_voices')}
    shared = set(voices['voices']) & set(voices['test_voices'])
    if shared:
        print(f'note: {len(shared)} voices are for training and for the test', file=sys.stderr)
    given = {key: names for key, names in voices.items() if names}
    print_counts(convert(Options(**args, **listed, **given)))


if __name__ == '__main__':
    run_tool(main)
