"""Show which checkpoint of a run each label-free score picks, and what that costs.

``python tools/analysis_tools/pick_checkpoint.py WORK_DIR`` reads the validations that the run
logged (``val_evaluator=[dict(type='RecallAtK'), dict(type='LabelFreeMetric')]``). Each row of the
table is a rule that picks an epoch: a label-free score, the last epoch, and the oracle, which is
the best mR on validation. The regret is the mR of the oracle minus that of the pick.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write  # noqa: E402
from urbancross_mm.utils.run_logs import read_validations  # noqa: E402

PREFIX = 'label_free/'
# For all other scores the value nearest to 0 is best.
GREATER = ('agreement',)
NOTE = (
    'mR needs the pairs of the target, so only the oracle picks by it. In the other rows it '
    'shows how good a pick without pairs is.'
)
NOT_KEPT = 'To keep every checkpoint, train again with default_hooks.checkpoint.max_keep_ckpts=-1.'


def read_scores(work_dir: str) -> dict[int, dict[str, float]]:
    """Read every validation with a label-free score.

    Args:
        work_dir (str): Where ``tools/train.py`` wrote ``*/vis_data/scalars.json``.

    Returns:
        dict[int, dict[str, float]]: Metrics by epoch, ascending.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If no validation logged a label-free score.
    """
    validations = read_validations(work_dir, PREFIX)
    if not validations:
        raise ValueError(
            f'no validation logged in {work_dir} has a score {PREFIX}*: add '
            "dict(type='LabelFreeMetric') to val_evaluator"
        )
    return validations


def pick(
    validations: dict[int, dict[str, float]], recall: str = 'retrieval/mR'
) -> list[dict[str, Any]]:
    """Pick an epoch by every rule.

    Args:
        validations (dict[int, dict[str, float]]): From :func:`read_scores`.
        recall (str): Metric of the oracle. Defaults to 'retrieval/mR'.

    Returns:
        list[dict]: ``rule``, ``epoch``, ``score`` (None for the last epoch), ``mR`` and ``regret``
        (None where mR was not logged). Of equal scores the earlier epoch wins, as in the
        checkpoint hook.
    """
    names = list(dict.fromkeys(name for record in validations.values() for name in _scores(record)))
    rows = []
    for name in names:
        greater = name.removeprefix(PREFIX) in GREATER
        epoch = _best(validations, name, greater)
        if epoch is not None:
            best = 'greatest' if greater else 'nearest to 0'
            rows.append(dict(rule=f'{name} ({best})', epoch=epoch, score=validations[epoch][name]))
    rows.append(dict(rule='last epoch', epoch=max(validations), score=None))
    oracle = _best(validations, recall, greater=True)
    if oracle is not None:
        rows.append(
            dict(
                rule=f'oracle: {recall} (greatest)', epoch=oracle, score=validations[oracle][recall]
            )
        )
    for row in rows:
        row['mR'] = validations[row['epoch']].get(recall)
        known = oracle is not None and row['mR'] is not None
        row['regret'] = validations[oracle][recall] - row['mR'] if known else None
    return rows


def find_checkpoint(work_dir: str, epoch: int) -> str | None:
    """Find the file of an epoch; the checkpoint hook keeps only the last and the best ones.

    Args:
        work_dir (str): Work directory of the run.
        epoch (int): The epoch.

    Returns:
        str | None: Its name; None if it was not kept.
    """
    names = sorted(file.name for file in Path(work_dir).glob(f'*epoch_{epoch}.pth'))
    return names[-1] if names else None


def to_markdown(rows: list[dict[str, Any]], count: int) -> str:
    """Format the picks.

    Args:
        rows (list[dict]): From :func:`pick`.
        count (int): How many validations there are.

    Returns:
        str: A Markdown table and a note.
    """
    lines = [
        f'| picked by ({count} validations) | epoch | checkpoint | score | mR on validation | '
        'regret |',
        '|---|---|---|---|---|---|',
    ]
    lines += [
        f'| {row["rule"]} | {row["epoch"]} | {row["checkpoint"] or "not kept"} | '
        f'{_shown(row["score"], 4)} | '
        f'{_shown(row["mR"], 2)} | {_shown(row["regret"], 2)} |'
        for row in rows
    ]
    notes = [NOTE] if any(row['mR'] is not None for row in rows) else []
    if not all(row['checkpoint'] for row in rows):
        notes.append(NOT_KEPT)
    return '\n'.join([*lines, *(line for note in notes for line in ('', note))]) + '\n'


def _scores(record: dict[str, Any]) -> list[str]:
    return [name for name in record if name.startswith(PREFIX)]


def _best(validations: dict[int, dict[str, float]], name: str, greater: bool) -> int | None:
    values = {
        epoch: record[name]
        for epoch, record in validations.items()
        if math.isfinite(record.get(name, math.nan))
    }
    if greater:
        return max(values, key=values.__getitem__, default=None)
    return min(values, key=lambda epoch: abs(values[epoch]), default=None)


def _shown(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


def main() -> None:
    """Read, pick, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', help='work directory of a training run')
    parser.add_argument(
        '--recall',
        default='retrieval/mR',
        metavar='KEY',
        help='metric of the oracle, such as retrieval/spain/mR for a run that validates several '
        'domains (default: retrieval/mR)',
    )
    parser.add_argument(
        '--out', help='also write the table (.md) or the numbers (.json) to this file'
    )
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.md', '.json')):
        parser.error(f'--out must end in .md or .json, got {args.out}')
    validations = read_scores(args.work_dir)
    rows = pick(validations, args.recall)
    for row in rows:
        row['checkpoint'] = find_checkpoint(args.work_dir, row['epoch'])
    text = to_markdown(rows, len(validations))
    print(text, end='')
    if args.out:
        numbers = json.dumps(dict(note=NOTE, picks=rows), indent=2) + '\n'
        atomic_write(args.out, numbers if args.out.endswith('.json') else text)


if __name__ == '__main__':
    run_tool(main)
