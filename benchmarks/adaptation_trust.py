"""Adaptations whose pairs are known, to learn which label-free measures tell their gain.

    python benchmarks/adaptation_trust.py runs --out work_dirs/trust/runs.csv
    python benchmarks/adaptation_trust.py fit work_dirs/trust/runs.csv

needs data/{rsicd,ucm} with annotations and features.npz (tools/misc/extract_features.py). Linear
heads on frozen features learn one set of classes and adapt to another: whole, few items, few steps,
images and captions of other classes, foreign images, captions of another place. ``runs`` measures
each run, and its gain in mR on held-out pairs, and goes on where it stopped. ``fit`` prints the
calibration of the report (urbancross_mm/inference/trust/calibration.py).
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timing  # first: one thread per pool, and the repository on the path
import torch
from linear_heads import (
    Domain,
    adapt,
    domain_pairs,
    load,
    mean_recall,
    pick,
    train_source,
)

from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.inference.trust import measures
from urbancross_mm.inference.trust.calibration import CALIBRATION
from urbancross_mm.inference.trust.content import missing_content
from urbancross_mm.inference.trust.estimate import Calibration, calibrate, estimate
from urbancross_mm.inference.trust.target_view import view
from urbancross_mm.inference.trust.verdict import judge

MOST_TEXTS, MOST_HELD_OUT = 1200, 1000
TEXTS = ('pair', 'run')


class Run(NamedTuple):
    """One adaptation: what the target gets, and how."""

    case: str
    method: str = 'plan'
    steps: int = 240
    items: int = 800
    rate: float = 3e-4
    seed: int = 0


RUNS = [
    *(Run('good', method) for method in ('plan', 'live', 'pseudo')),
    *(Run('good', items=items) for items in (400, 200, 100)),
    *(Run('good', steps=steps) for steps in (20, 80)),
    *(Run('good', method, rate=5e-3) for method in ('plan', 'live')),
    *(Run('shifted', method) for method in ('plan', 'live')),
    *(Run('foreign images', method) for method in ('plan', 'live')),
    *(Run('other classes', method) for method in ('plan', 'live')),
    *(Run('other captions', method) for method in ('plan', 'live')),
]


def target_of(target: Domain, other: Domain, run: Run) -> tuple[Target, set[str]]:
    """Images and a pool of captions of a case, and the classes that both have.

    ``other`` is of another place: its images are foreign, and its captions wrong.
    """
    draw = np.random.default_rng(run.seed)
    classes = list(draw.permutation(sorted(set(target.labels))))
    sides = [set(classes), set(classes)]
    if run.case == 'shifted':  # as 10 and 15 classes with 5 in common
        third = len(classes) // 4
        sides = [set(classes[: 2 * third]), set(classes[third:])]
    if run.case == 'other classes':
        sides = [set(classes[::2]), set(classes[1::2])]
    images, captioned = (target.of(side) for side in sides)
    images, captioned = (pick(domain, run.items, draw) for domain in (images, captioned))
    feats = images.images
    if run.case == 'foreign images':
        feats = torch.cat([feats, pick(other, len(feats) * 3 // 7, draw).images])
    if run.case == 'other captions':
        captioned = pick(other, run.items, draw)
    pool = np.array([row for own in captioned.captions for row in own])
    rows, counts = np.unique(pool, return_counts=True)
    kept = np.sort(draw.permutation(len(rows))[:MOST_TEXTS])
    text_mass = torch.tensor(counts[kept], dtype=torch.float32)
    text_feats = captioned.texts[rows[kept]]
    return Target(feats, text_feats, feats, text_feats, text_mass), sides[0]


def measure(args: argparse.Namespace) -> None:
    """Adapt and measure; each run is a line of the output."""
    torch.set_num_threads(1)
    datasets = load(args.data, 'rsicd', 'ucm', components=args.components)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if out.is_file():
        with out.open() as file:
            done = {(line['pair'], line['seed'], line['run']) for line in csv.DictReader(file)}
    for name, (source, target, other) in domain_pairs(*datasets).items():
        for seed in args.seeds:
            runs = [run._replace(seed=seed) for run in RUNS]
            runs = [run for run in runs if (name, str(seed), name_of(run)) not in done]
            if not runs or (args.pairs and name not in args.pairs):
                continue
            model = train_source(source['train'], seed)
            known = encoded(model, target_of(source['train'], other['train'], Run('good'))[0])
            views: dict[Any, Any] = {}
            for run in runs:
                line = one_run(model, known, (source, target, other), run, views)
                write(out, dict(pair=name, seed=seed, run=name_of(run), **line))


def name_of(run: Run) -> str:
    """Case, method, steps and items."""
    return f'{run.case}, {run.method}, {run.steps} steps, {run.items} items, rate {run.rate:g}'


@torch.no_grad()
def encoded(model: torch.nn.Module, target: Target) -> Target:
    """The target as a model sees it."""
    images, texts = model(target.image_feats, target.text_feats)
    return target._replace(image_embeds=images, text_embeds=texts)


def one_run(
    model: torch.nn.Module,
    known: Target,
    domains: tuple[dict, dict, dict],
    run: Run,
    views: dict[Any, Any],
) -> dict[str, float]:
    """Measures of a run, and mR before and after."""
    source, target, other = domains
    key = run.case, run.items
    if key not in views:
        items, classes = target_of(target['train'], other['train'], run)
        found = view(encoded(model, items))
        numbers = dict(measures.of_target(found), **missing_content(found.target, known))
        views[key] = found, numbers, classes
    found, numbers, classes = views[key]
    adapted = adapt(model, source['train'], found, run.method, run.steps, run.rate, run.seed)
    after = encoded(adapted, found.target)
    changed = measures.of_models(found, after.image_embeds, after.text_embeds)
    held_out = target['held_out'].of(classes)
    held_out = pick(held_out, MOST_HELD_OUT, np.random.default_rng(run.seed))
    recalls = [mean_recall(heads, held_out) for heads in (model, adapted)]
    return dict(
        steps=run.steps, **numbers, **changed, recall_before=recalls[0], recall_after=recalls[1]
    )


def write(out: Path, line: dict[str, Any]) -> None:
    """Add a line to the table of runs."""
    fresh = not out.is_file()
    with out.open('a', newline='') as file:
        writer = csv.DictWriter(file, line)
        if fresh:
            writer.writeheader()
        writer.writerow({k: f'{v:.5g}' if isinstance(v, float) else v for k, v in line.items()})
    print(
        f'{line["pair"]}, {line["run"]}: {line["recall_before"]:.2f} -> {line["recall_after"]:.2f}',
        flush=True,
    )


def fit(args: argparse.Namespace) -> None:
    """Print the calibration, and what it says of the runs of each pair that it has not seen."""
    runs = [
        {key: text if key in TEXTS else float(text) for key, text in line.items()}
        for path in args.runs
        for line in csv.DictReader(Path(path).read_text().splitlines())
    ]
    said = []
    for pair in sorted({run['pair'] for run in runs}):
        known = learn([run for run in runs if run['pair'] != pair], args.inputs)
        own = [run for run in runs if run['pair'] == pair]
        said += [(run, *conclude(run, known)) for run in own]
    rows = [
        (verdict, run['run'].split(',')[0], 100 * (run['recall_after'] / run['recall_before'] - 1))
        for run, verdict, _ in said
    ]
    for column in (0, 1):
        print(timing.markdown(*summary(rows, column)), '\n')
    pairs = [(guess, 100 * (r['recall_after'] / r['recall_before'] - 1)) for r, _, guess in said]
    correlation = torch.corrcoef(torch.tensor(pairs).t())[0, 1]
    print(f'correlation of estimated and true gain {float(correlation):.2f}')
    print(learn(runs, args.inputs))


def learn(runs: list[dict], names: list[str]) -> Calibration:
    """A calibration of runs."""
    matching = [run['run'].startswith('good') for run in runs]
    return calibrate(runs, [run['pair'] for run in runs], names, matching)


def conclude(run: dict, known: Calibration) -> tuple[str, float]:
    """Verdict and estimate."""
    gain = estimate(run, known)
    # Tables made before these were measured.
    run = dict(dict(missing_texts=0.0, missing_images=0.0), **run)
    return judge(run, gain, known.least_within).name, gain.gain


def summary(rows: list[tuple], column: int) -> tuple[list[str], list[list[str]]]:
    """Runs by a column: how many, their true gain, how many lost, and what was said of them."""
    lines = []
    for name in sorted({row[column] for row in rows}):
        gains = [row[2] for row in rows if row[column] == name]
        others = Counter(row[1 - column] for row in rows if row[column] == name)
        lost = sum(gain < 0 for gain in gains)
        named = ', '.join(f'{count} {other}' for other, count in others.most_common())
        mean = f'{sum(gains) / len(gains):+.1f} %'
        lines.append([name, str(len(gains)), mean, str(lost), named])
    return ['', 'runs', 'mean gain', 'lost', 'of them'], lines


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser('runs', help='adapt and measure')
    command.add_argument('--data', type=Path, default=Path('data'))
    command.add_argument('--out', default='work_dirs/trust/runs.csv')
    command.add_argument('--pairs', nargs='*', help='domain pairs (default: all)')
    command.add_argument('--seeds', nargs='+', type=int, default=[0])
    command.add_argument(
        '--components', type=int, default=256, help='principal components of the features'
    )
    command.set_defaults(main=measure)
    command = commands.add_parser('fit', help='print the calibration')
    command.add_argument('runs', nargs='+', help='tables of runs')
    command.add_argument('--inputs', nargs='+', default=list(CALIBRATION.names))
    command.set_defaults(main=fit)
    args = parser.parse_args()
    args.main(args)


if __name__ == '__main__':
    main()
