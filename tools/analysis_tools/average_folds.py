"""Mean and standard deviation over folds or seeds.

``python tools/analysis_tools/average_folds.py work_dirs/fold_*/metrics.json --out folds.md``
reads what ``tools/test.py --out`` wrote for each run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write  # noqa: E402
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
    import pandas as pd

    rows = {}
    for name in files:
        if not Path(name).is_file():
            raise FileNotFoundError(f'no metrics file at {name}')
        try:
            rows[name] = {k: float(v) for k, v in read_json(name, nan=True).items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f'{name} is not a metrics file of tools/test.py --out: {error}'
            ) from error
    table = pd.DataFrame.from_dict(rows, orient='index')
    holes = table.columns[table.isna().any()].tolist()
    if holes:
        raise ValueError(f'the runs do not all have the metrics {", ".join(holes)}')
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
    parser.add_argument('metrics', nargs='+', help='metrics.json of each fold or seed')
    parser.add_argument('--out', help='also write the table (.md) or the numbers (.csv) here')
    args = parser.parse_args()
    table = read_runs(args.metrics)
    summary = summarize(table)
    text = to_markdown(summary, len(table))
    print(text, end='')
    if args.out:
        atomic_write(args.out, summary.to_csv() if args.out.endswith('.csv') else text)


if __name__ == '__main__':
    run_tool(main)
