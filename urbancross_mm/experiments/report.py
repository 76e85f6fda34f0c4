"""The report of a matrix: Markdown, CSV and heat maps."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from urbancross_mm.experiments.records import slug
from urbancross_mm.experiments.results import LABEL_FREE, METRIC, Cell, Results
from urbancross_mm.experiments.spec import IN_TARGET, SOURCE_ONLY
from urbancross_mm.utils.files import write_all
from urbancross_mm.version import __version__
from urbancross_mm.visualization import draw_domain_matrix

_SELECTIONS = {
    'last': 'the last checkpoint, chosen without a pair of the target',
    'best': "the best by mR on the target's validation pairs, which is an oracle",
}


def write_report(
    results: Results, out: str | Path, select: str, command: str, seconds: float
) -> list[Path]:
    """Write ``matrix.md``, ``runs.csv`` and ``matrix.png``.

    A selection other than ``'last'`` stands in the names of its files, beside those of others.

    Args:
        results (Results): The runs.
        out (str | Path): Folder of the matrix.
        select (str): Which adapted checkpoint was tested.
        command (str): What the user typed.
        seconds (float): What this call took.

    Returns:
        list[Path]: The files.
    """
    end = '' if select == 'last' else f'_{slug(select)}'
    files = [Path(out) / name for name in (f'matrix{end}.md', f'runs{end}.csv', f'matrix{end}.png')]
    contents = (
        to_markdown(results, select, command, seconds),
        results.runs.to_csv(index=False),
        to_png(results),
    )
    write_all(dict(zip(files, contents)))
    return files


def to_markdown(results: Results, select: str, command: str, seconds: float) -> str:
    """Format the report.

    Args:
        results (Results): The runs.
        select (str): Which adapted checkpoint was tested.
        command (str): What the user typed.
        seconds (float): What this call took.

    Returns:
        str: Markdown.
    """
    chosen = _SELECTIONS.get(select, f'`best_{slug(select)}*.pth`')
    parts = [
        f'# Cross-domain matrix\n\n{METRIC} on the test split of each domain, in percent: mean ± '
        f'sample standard deviation over {_count(len(results.seeds), "seed")}. Gains are relative '
        'to the source model without adaptation (source-only), and to the control: the same steps '
        'and batches without anything that adapts. Of a source model the best by validation on its '
        f'own domain is tested; of an adapted one {chosen}.\n',
        '## Summary\n\n' + summary(results),
        *(f'## {name}\n\n' + matrix_table(results, name) for name in results.methods),
        '## Label-free scores\n\n' + label_free_table(results),
    ]
    if len(results.failed):
        lines = [f'- {run.job}: {run.error}' for run in results.failed.itertuples()]
        parts.append('## Failed\n\n' + '\n'.join(lines) + '\n')
    return '\n'.join([*parts, '## How\n\n' + _footer(results, command, seconds)])


def summary(results: Results) -> str:
    """Compare the methods direction by direction.

    Args:
        results (Results): The runs.

    Returns:
        str: A Markdown table; the last row is the average.
    """
    others = [*(name for name in results.methods if name != SOURCE_ONLY), IN_TARGET]
    lines = [_line('source -> target', SOURCE_ONLY, *others), '|---|' + '---|' * (len(others) + 1)]
    for pair in results.directions:
        cells = [
            _with_gains(results.cell(name, *pair), results.gains(name, pair)) for name in others
        ]
        lines.append(_line(' -> '.join(pair), results.cell(SOURCE_ONLY, *pair), *cells))
    averages = [_with_gains(results.average(name), results.gains(name)) for name in others]
    lines.append(_line('average', results.average(SOURCE_ONLY), *averages))
    return '\n'.join(lines) + '\n'


def label_free_table(results: Results) -> str:
    """Show what each model scores without a pair, beside its mR.

    Args:
        results (Results): The runs.

    Returns:
        str: A Markdown table, a row for each direction and method.
    """
    metrics = (METRIC, *LABEL_FREE)
    lines = [_line('source -> target', 'method', *metrics), '|---|---|' + '---|' * len(metrics)]
    lines += [
        _line(' -> '.join(pair), name, *(results.cell(name, *pair, metric) for metric in metrics))
        for pair in results.directions
        for name in (*results.methods, IN_TARGET)
    ]
    return '\n'.join(lines) + '\n'


def matrix_table(results: Results, method: str) -> str:
    """Show one method, trained models down, targets across.

    Args:
        results (Results): The runs.
        method (str): ``source-only``, whose diagonal is trained on the target, or a method.

    Returns:
        str: A Markdown table.
    """
    lines = [_line('source \\ target', *results.domains), '|---|' + '---|' * len(results.domains)]
    lines += [
        _line(source, *(results.cell(method, source, target) for target in results.domains))
        for source in results.trained
    ]
    return '\n'.join(lines) + '\n'


def to_png(results: Results) -> bytes:
    """Draw a heat map a method.

    Args:
        results (Results): The runs.

    Returns:
        bytes: A PNG file.
    """
    cells = {
        name: [
            [results.cell(name, source, target) for target in results.domains]
            for source in results.domains
        ]
        for name in results.methods
    }
    sheet = draw_domain_matrix(
        {
            name: np.array([[cell.mean for cell in row] for row in rows])
            for name, rows in cells.items()
        },
        {
            name: [[str(cell).replace(' (', '\n(') for cell in row] for row in rows]
            for name, rows in cells.items()
        },
        results.domains,
        label=f'{METRIC} in percent',
    )
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, 'PNG')
    return file.getvalue()


def _with_gains(cell: Cell, gains: Mapping[str, float]) -> str:
    """A cell with its gain over the source model and, of a method, over its control."""
    texts = [
        f'{gain:+.1f} %' + (f' over {base}' if base != SOURCE_ONLY else '')
        for base, gain in gains.items()
        if not math.isnan(gain)
    ]
    return f'{cell} ({", ".join(texts)})' if texts else str(cell)


def _line(*cells: object) -> str:
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'


def _footer(results: Results, command: str, seconds: float) -> str:
    import torch

    runs = results.runs
    counts = runs.status.value_counts()
    sizes = ', '.join(
        f'{target} {int(rows.num_images.iloc[0])} images and {int(rows.num_texts.iloc[0])} captions'
        for target, rows in runs[runs.status == 'done'].groupby('target', sort=False)
    )
    resumed = int(runs.resumed.sum())
    total, this_call = _duration(runs.seconds.sum()), _duration(seconds)
    again = f'; of {_count(resumed, "resumed job")} only the last part counts' if resumed else ''
    skipped = [name for name in results.domains if name not in results.trained]
    lines = [
        f'- directions: {" ".join(f"{source}2{target}" for source, target in results.directions)}',
        f'- seeds: {" ".join(map(str, results.seeds))}',
        f'- test sets: {sizes or "none yet"}',
        f'- jobs: {", ".join(f"{number} {status}" for status, number in counts.items())}',
        f'- time: {total} of jobs in all, {this_call} this call{again}',
        f'- command: `{command}`',
        f'- urbancross_mm {__version__}, torch {torch.__version__}',
    ]
    if skipped:
        lines.insert(
            1,
            f'- skipped: in-target models of {" ".join(skipped)}, where no direction starts '
            '(--in-target trains them)',
        )
    return '\n'.join(lines) + '\n'


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"" if number == 1 else "s"}'


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s'
