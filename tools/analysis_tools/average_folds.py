"""Mean and standard deviation over folds or seeds.

``python tools/analysis_tools/average_folds.py work_dirs/fold_*/metrics.json --out folds.md``
reads what ``tools/test.py --out`` wrote for each run. With ``--last N`` it reads work directories,
and a run counts by the mean of its last N validations (a protocol that some papers report).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write  # noqa: E402
from urbancross_mm.utils.run_logs import read_validations  # noqa: E402
from urbancross_mm.utils.text_files import read_json  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd


def read_runs(files: list[str]) -> pd.DataFrame:
    """Read one metrics file per run.

    Args:
        files (list[str]): JSON files, metric name to number.

    Returns:
        pd.DataFrame: One row per run, one column per metric.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is not a metrics file, or the runs do not have the same metrics.
    """
    rows = {}
    for name in files:
        if not Path(name).is_file():
            hint = '; --last N reads work directories' if Path(name).is_dir() else ''
            raise FileNotFoundError(f'no metrics file at {name}{hint}')
        try:
            rows[name] = {k: float(v) for k, v in read_json(name, nan=True).items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f'{name} is not a metrics file of tools/test.py --out: {error}'
            ) from error
    return to_table(rows, 'runs')


def read_last(work_dirs: list[str], last: int) -> pd.DataFrame:
    """Average the last validations of each run.

    Args:
        work_dirs (list[str]): Of ``tools/train.py``.
        last (int): How many validations of a run.

    Returns:
        pd.DataFrame: One row per run, one column per metric.

    Raises:
        FileNotFoundError: If a folder has no log.
        ValueError: If a run has fewer validations, or not all of them have the same metrics.
    """
    rows = {}
    for name in work_dirs:
        validations = read_validations(name)
        if len(validations) < last:
            raise ValueError(f'{name} has {len(validations)} validations, but --last is {last}')
        epochs = list(validations)[-last:]
        table = to_table(
            {epoch: validations[epoch] for epoch in epochs}, f'last {last} validations of {name}'
        )
        rows[name] = table.mean().to_dict()
    return to_table(rows, 'runs')


def to_table(rows: dict[Any, dict[str, float]], what: str) -> pd.DataFrame:
    """Lay out metrics; each row must have all of them.

    Args:
        rows (dict): Metrics of each row.
        what (str): What the rows are, for the message.

    Returns:
        pd.DataFrame: One column per metric.

    Raises:
        ValueError: If a row lacks a metric.
    """
    import pandas as pd

    table = pd.DataFrame.from_dict(rows, orient='index')
    holes = table.columns[table.isna().any()].tolist()
    if holes:
        raise ValueError(f'the {what} do not all have the metrics {", ".join(holes)}')
    return table


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, sample standard deviation and extremes of each metric.

    Args:
        table (pd.DataFrame): One row per run.

    Returns:
        pd.DataFrame: One row per metric. The deviation of a single run is NaN.
    """
    return table.agg(['mean', 'std', 'min', 'max']).T


def to_markdown(summary: pd.DataFrame, runs: int) -> str:
    """Format the summary.

    Args:
        summary (pd.DataFrame): From :func:`summarize`.
        runs (int): How many runs there are.

    Returns:
        str: A Markdown table.
    """
    lines = [f'| metric ({runs} runs) | mean | std | min | max |', '|---|---|---|---|---|']
    lines += [
        f'| {name} | {row["mean"]:.2f} | {row["std"]:.2f} | {row["min"]:.2f} | {row["max"]:.2f} |'
        for name, row in summary.iterrows()
    ]
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'metrics', nargs='+', help='metrics.json (with --last: work directory) of each fold or seed'
    )
    parser.add_argument(
        '--last',
        type=int,
        metavar='N',
        help='average the last N validations of each work directory, as some papers report; it is '
        'no way to choose a checkpoint',
    )
    parser.add_argument('--out', help='also write the table (.md) or the numbers (.csv) here')
    args = parser.parse_args()
    if args.last is not None and args.last < 1:
        parser.error(f'--last must be at least 1, got {args.last}')
    table = read_last(args.metrics, args.last) if args.last else read_runs(args.metrics)
    summary = summarize(table)
    text = to_markdown(summary, len(table))
    print(text, end='')
    if args.out:
        atomic_write(args.out, summary.to_csv() if args.out.endswith('.csv') else text)


if __name__ == '__main__':
    run_tool(main)
