"""Show what a model gets wrong on its test set: how many results are right, and the worst queries.

``python tools/analysis_tools/retrieval_errors.py CONFIG CHECKPOINT --out errors/`` counts for each
image how many of its captions are among the first five, and finds for each caption the rank of its
image. It writes ``errors.json`` (the counts and the worst queries), ``i2t.csv`` and ``t2i.csv``
(every query), and a sheet of each of the worst queries. Relevance is that of the config's
RecallAtK.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import (  # noqa: E402
    add_common_arguments,
    add_trust_argument,
    given_path,
    run_tool,
)
from urbancross_mm.utils.files import atomic_write, check_outputs, write_all  # noqa: E402

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

    from urbancross_mm.evaluation import RecallAtK
    from urbancross_mm.inference.retrieval_errors import RetrievalErrors

NUMBERS = 'errors.json'
TABLES = ('i2t.csv', 't2i.csv')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument(
        '--out', type=given_path, default='outputs/errors', help='folder (default: %(default)s)'
    )
    parser.add_argument('--topk', type=int, default=5, help='length of the lists (default: 5)')
    parser.add_argument(
        '--worst', type=int, default=20, help='queries to show of each direction (default: 20)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=32, help='images per forward pass (default: 32)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    for name, least in (('topk', 1), ('worst', 0), ('batch_size', 1)):
        if getattr(args, name) < least:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least {least}, got {getattr(args, name)}')
    return args


def metric_of(cfg: Config) -> RecallAtK:
    """The config's RecallAtK for tests, or one with default settings; of image and text alone."""
    from urbancross_mm.registry import METRICS
    from urbancross_mm.utils.config import nested_dicts

    settings = next(nested_dicts(cfg.get('test_evaluator'), 'RecallAtK'), dict(type='RecallAtK'))
    return METRICS.build(dict(settings, pairs=(), rerank=None))


def find_errors(args: argparse.Namespace) -> RetrievalErrors:
    """Encode the test set and search it."""
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.retrieval_errors import RetrievalErrors
    from urbancross_mm.registry import DATASETS
    from urbancross_mm.utils.config import nested_dicts

    cfg = load_config(args.config, args.cfg_options, args.sample)
    for node in nested_dicts(cfg.get('test_dataloader')):
        # Class maps of a whole test set are not kept in memory.
        if isinstance(node.get('pipeline'), list):
            node['pipeline'] = [s for s in node['pipeline'] if s['type'] != 'LoadSegMap']
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    embedder = Embedder.from_config(cfg, checkpoint, device=args.device, batch_size=args.batch_size)
    samples = embedder.predict(DATASETS.build(cfg.test_dataloader.dataset))
    return RetrievalErrors(samples, metric_of(cfg), args.topk)


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Format one row per query."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def tables(errors: RetrievalErrors) -> list[str]:
    """Every query of both directions, with its rank and what is right in its list."""
    texts = []
    for name, record in (('i2t', errors.image_record), ('t2i', errors.caption_record)):
        rows = []
        for position in range(len(getattr(errors, name).rank)):
            entry = record(position)
            keep = {key: entry[key] for key in ('img_id', 'caption', 'rank') if key in entry}
            right = sum(item['right'] for item in entry['found'])
            rows.append(dict(keep, right=right, found=len(entry['found'])))
        texts.append(to_csv(rows))
    return texts


def draw_image_query(record: dict[str, Any]) -> np.ndarray:
    """Draw an image, its captions, and the captions that it finds."""
    from urbancross_mm.utils.images import read_image
    from urbancross_mm.visualization import draw_sample_sheet

    found = [
        f'found {number}, {item["score"]:.3f}, {"right" if item["right"] else "wrong"}: '
        f'{item["caption"]}'
        for number, item in enumerate(record['found'], 1)
    ]
    title = f'{record["img_id"]}   first of its captions at rank {record["rank"]:g}'
    own = [f'its own: {caption}' for caption in record['captions']]
    return draw_sample_sheet(read_image(record['img_path'])[0], [*own, *found], title)


def draw_caption_query(record: dict[str, Any]) -> np.ndarray:
    """Draw a caption above its image and the images that it finds."""
    from urbancross_mm.structures import SearchHit
    from urbancross_mm.visualization import RetrievalVisualizer

    own = SearchHit(record['img_path'], float('nan'), True, f'its image, rank {record["rank"]:g}')
    found = [SearchHit(item['img_path'], item['score'], item['right']) for item in record['found']]
    return RetrievalVisualizer().draw_grid(record['caption'], [own, *found])


def draw_sheets(worst: dict[str, list[dict[str, Any]]], folder: Path) -> str:
    """Draw the worst queries; say how many, and how many could not be drawn."""
    from PIL import Image

    from urbancross_mm.utils.progress import track

    draw = dict(i2t=draw_image_query, t2i=draw_caption_query)
    jobs = [
        (name, number, record)
        for name, records in worst.items()
        for number, record in enumerate(records)
    ]
    missing = 0
    for name, number, record in track(jobs, 'draw', unit='sheet'):
        try:
            sheet = draw[name](record)
        except FileNotFoundError:  # features were searched, and the images are elsewhere
            missing += 1
            continue
        content = io.BytesIO()
        Image.fromarray(sheet).save(content, 'png')
        atomic_write(folder / f'{name}_{number:03d}.png', content.getvalue())
    left_out = f', {missing} without: their images are missing' if missing else ''
    return f'{len(jobs) - missing} sheets{left_out}'


def to_text(summary: dict[str, Any]) -> str:
    """Format the counts."""
    i2t, t2i, topk = summary['i2t'], summary['t2i'], summary['topk']
    lines = [
        f'{summary["images"]} images, {summary["captions"]} captions',
        f'captions of its own among the first {topk}, by number of images:',
        *(f'  {number:>4}: {count}' for number, count in i2t['right'].items()),
    ]
    if '3' in i2t['at_least']:
        lines.append(f'at least 3 of them: {i2t["at_least"]["3"]} images')
    lines += [
        'rank of its image, by number of captions:',
        *(f'  {ranks:>7}: {count}' for ranks, count in t2i['ranks'].items()),
        f'median rank {i2t["MedR"]:g} (image to text), {t2i["MedR"]:g} (text to image)',
    ]
    return '\n'.join(lines)


def main() -> None:
    """Search, count, write, draw."""
    args = parse_args()
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    check_outputs([args.out / name for name in (NUMBERS, *TABLES)])
    errors = find_errors(args)
    worst = dict(
        i2t=[errors.image_record(int(k)) for k in errors.i2t.worst(args.worst)],
        t2i=[errors.caption_record(int(k)) for k in errors.t2i.worst(args.worst)],
    )
    summary = errors.summary()
    print(to_text(summary))
    numbers = json.dumps(dict(summary, worst=worst), indent=1) + '\n'
    tabled = dict(zip((args.out / name for name in TABLES), tables(errors)))
    write_all({args.out / NUMBERS: numbers, **tabled})
    print(f'{NUMBERS}, {", ".join(TABLES)} and {draw_sheets(worst, args.out)} in {args.out}')


if __name__ == '__main__':
    run_tool(main)
