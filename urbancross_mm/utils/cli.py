"""What the command-line tools share: arguments, and how a run ends."""

from __future__ import annotations

import argparse
import os
import re
import select
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from urbancross_mm.utils.error_sentence import sentence_of
from urbancross_mm.utils.options import ConfigOptions

# Read by the readers of checkpoints, also in processes that a tool starts.
TRUST_VARIABLE = 'URBANCROSS_TRUST_CHECKPOINT'


def given_path(text: str) -> Path:
    """A path on the command line. An empty one, as of an unset variable, is refused.

    Args:
        text (str): What was typed.

    Returns:
        Path: The path.

    Raises:
        ArgumentTypeError: If it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError('the path is empty')
    return Path(text)


class ConfigParser(argparse.ArgumentParser):
    """The parser of a tool that takes a config: says where a setting belongs."""

    def error(self, message: str) -> NoReturn:
        """End the tool; a bare ``KEY=VALUE`` gets the flag that it lacks.

        Args:
            message (str): What argparse says.
        """
        words = message.partition(': ')[2].split()
        if message.startswith('unrecognized') and any(map(is_setting, words)):
            settings = ' '.join(filter(is_setting, words))
            message += f' (settings follow --cfg-options: --cfg-options {settings})'
        super().error(message)


def is_setting(text: str) -> bool:
    """Whether a word of the command line looks like ``KEY=VALUE``.

    Args:
        text (str): The word.

    Returns:
        bool: True for ``TARGET=spain``, False for a flag such as ``--out=x``.
    """
    return bool(re.match(r'[A-Za-z_][\w.-]*=', text))


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint`` to a tool that loads checkpoints.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--trust-checkpoint',
        action=_Trust,
        nargs=0,
        help='read your own old checkpoints although they carry code, and run it',
    )


class _Trust(argparse.Action):
    """Trust checkpoints in this process and those that it starts."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        os.environ[TRUST_VARIABLE] = '1'
        print(
            'warning: --trust-checkpoint: a checkpoint may run any code while it is read; give '
            'it for your own files only',
            file=sys.stderr,
        )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every tool that takes a config.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument('config', help='config file')
    add_sample_argument(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override settings, e.g. train_cfg.max_epochs=2',
    )


def add_sample_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--sample``.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--sample',
        action='store_true',
        help='generated data, small encoders, few epochs: runs without a download',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that ``train.py`` and ``test.py`` share.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)'
    )
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast, on CPU or GPU')
    parser.add_argument(
        '--launcher',
        default='none',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        help='what started the processes of a distributed run (default: none)',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by the launcher'
    )


def add_converter_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the caption converters share.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument('--out', type=given_path, required=True, help='folder for the annotations')
    parser.add_argument('--name', help='name of the dataset (default: that of the source)')
    parser.add_argument('--segments', type=given_path, help='default: segments/ beside the images')
    parser.add_argument('--seg-maps', type=given_path, help='default: seg_maps/ beside the images')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of splits that are drawn; noted in the output (%(default)s)',
    )
    parser.add_argument(
        '--only-present',
        action='store_true',
        help='leave out images that are not on disk, and count them',
    )
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out lines with a file name that climbs out of its folder or '
        'comes twice, and count them',
    )
    parser.add_argument(
        '--min-count',
        type=int,
        default=5,
        help='rarer words of the training captions are unknown to the vocabulary (%(default)s)',
    )
    parser.add_argument(
        '--suffix',
        choices=['.json', '.parquet'],
        default='.json',
        help='format of the annotations (%(default)s)',
    )
    parser.add_argument('--force', action='store_true', help='overwrite')


def add_split_argument(parser: argparse.ArgumentParser) -> None:
    """Add how a converter gets its val split.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--split',
        default='published',
        choices=['published', 'random', 'stratified'],
        help='how to divide the training list into train and val: as published, '
        'or 80/20 by a seed, at random or within each class (%(default)s)',
    )


def add_segment_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the segment converters share.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument('--size', type=int, default=256, help='longer side of the stored masks')
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out images that cannot be read, or with an unreadable segment, and count them',
    )
    parser.add_argument('--workers', type=int, default=2, help='threads')
    parser.add_argument('--force', action='store_true', help='make files again that exist')
    parser.add_argument(
        '--annotations',
        nargs='+',
        default=[],
        metavar='JSON',
        help='annotation files in which to name the segment files',
    )


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool; an error ends in one sentence on stderr and exit code 2.

    Set ``URBANCROSS_TRACEBACK=1`` to see the traceback.

    Args:
        main (Callable): The tool; its return value, if any, is the exit code.
    """
    if not sys.warnoptions:  # python -W default shows them
        # What the parts of these packages say of their own settings; a user cannot change them.
        warnings.filterwarnings('ignore', category=UserWarning, module=r'(mmcv|mmpretrain|mmseg)\.')
        # The tools that read rasters say it in a sentence of their own.
        warnings.filterwarnings('ignore', message='Dataset has no geotransform')
    try:
        code = main()
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not _reader_is_there():
            sys.exit(141)  # as a shell says it: the work is not finished
        if os.environ.get('URBANCROSS_TRACEBACK'):
            raise
        print(f'error: {sentence_of(error)}', file=sys.stderr)
        sys.exit(2)
    _reader_is_there()
    sys.exit(code or 0)


def _reader_is_there() -> bool:
    """Whether anything still reads stdout (``head`` stops early). If not, stdout is closed."""
    try:
        sys.stdout.flush()
        # Without a buffer there is nothing left to fail; the pipe knows.
        ends = select.poll()
        ends.register(sys.stdout, 0)
        if not any(event & select.POLLERR for _, event in ends.poll(0)):
            return True
    except BrokenPipeError:
        pass
    except (AttributeError, OSError, ValueError):  # a system without poll, or no real stdout
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False
