"""Every domain against every other: source models, adaptation methods, and a report.

    python tools/analysis_tools/cross_domain_matrix.py --domains finland germany spain \\
        --source 'configs/urbancross_{source}_no-segments.py' \\
        --method plain --method 'half=curriculum;train_cfg.max_epochs=5' \\
        --seeds 0 1 2 --jobs 2 --out work_dirs/matrix

trains a model on every domain, tests each on every domain, adapts each to every other domain with
every method, and writes matrix.md, runs.csv and matrix.png. Called again, it does what is missing.
A method is a file of configs/_base_/methods/, or a config of your own:
--method 'mine=configs/mine_{source}2{target}.py'.

--directions rsicd2ucm rsicd2data/porto runs these alone. A target is a name in
configs/_base_/domains.py or a folder, and needs no source config.

Beside the methods runs a control: the same steps and batches without adaptation. Methods with
another schedule get one of their own (control-METHOD).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_sample_argument, add_trust_argument, run_tool  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_study_arguments(parser)
    add_run_arguments(parser)
    return parser.parse_args()


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is compared."""
    add = parser.add_argument
    add(
        '--domains',
        nargs='+',
        default=[],
        help='names, or folders of datasets, for the templates (default: those of --directions)',
    )
    add(
        '--directions',
        nargs='+',
        default=[],
        metavar='SOURCE2TARGET',
        help='run these alone (default: every source with every other target)',
    )
    add(
        '--source',
        required=True,
        metavar='TEMPLATE',
        help='config that trains and tests on {source}',
    )
    add(
        '--method',
        action='append',
        default=[],
        metavar='METHOD|NAME=METHOD|NAME=TEMPLATE[;K=V;...]',
        help='method of configs/_base_/methods/, or config that adapts from {source} to '
        '{target}, with options of its own if need be; may stand several times',
    )
    add('--no-control', action='store_true', help='run no control beside the methods')
    add(
        '--in-target',
        action='store_true',
        help='train a model on every domain, also where no direction starts',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how it is run."""
    add = parser.add_argument
    add('--seeds', nargs='+', type=int, default=[0], help='seeds of the trainings (default: 0)')
    add('--jobs', type=int, default=1, help='jobs at a time; several get one thread each')
    add('--out', required=True, help='folder of the runs and of the report')
    add_sample_argument(parser)
    add(
        '--source-checkpoint',
        metavar='TEMPLATE',
        help='file or work dir of the source models, which then are not trained',
    )
    add_trust_argument(parser)
    add(
        '--select',
        default='last',
        metavar='last|best|KEY',
        help='adapted checkpoint to test: last (no pair of the target is used), '
        'best (by its validation pairs: an oracle) or best_KEY*.pth',
    )
    options = dict(nargs='+', action='extend', default=[], metavar='KEY=VALUE')
    add('--source-options', **options, help='override settings of the source configs')
    what = 'override settings of all methods; what a method names itself wins'
    add('--method-options', **options, help=what)
    add('--force', action='store_true', help='do again what was made with other settings')


def main() -> int:
    """Run and report.

    Returns:
        int: 1 if a job failed.
    """
    args = parse_args()
    # --help and a wrong word answer before the libraries take seconds to load.
    from urbancross_mm.experiments import (
        MatrixSpec,
        Template,
        parse_directions,
        parse_methods,
        run_matrix,
    )
    from urbancross_mm.experiments.report import summary

    only = parse_directions(args.directions, args.domains)
    domains = args.domains or dict.fromkeys(name for pair in only for name in pair)
    spec = MatrixSpec(
        tuple(domains),
        Template(args.source, tuple(args.source_options)),
        parse_methods(args.method, args.method_options, args.source),
        tuple(args.seeds),
        args.sample,
        args.source_checkpoint,
        args.select,
        only,
        args.in_target,
        not args.no_control,
    )
    results, files = run_matrix(
        spec, args.out, args.jobs, args.force, shlex.join(['python', *sys.argv])
    )
    print(summary(results))
    print('\n'.join(map(str, files)))
    return 1 if len(results.failed) else 0


if __name__ == '__main__':
    run_tool(main)
