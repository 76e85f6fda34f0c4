"""Score a model on the published test set of semantic localization (SeLo).

``python tools/analysis_tools/evaluate_localization.py CONFIG CKPT --anno anno.json --images DIR``
looks for each caption of ``anno.json`` in its image, and prints the four indicators and, with
``--queries``, those of each caption.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import (  # noqa: E402
    ConfigParser,
    add_common_arguments,
    add_trust_argument,
    given_path,
    run_tool,
)

NAMES = ('Rsu', 'Ras', 'Rda', 'Rmi')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument('--anno', type=given_path, required=True, help='the published anno.json')
    parser.add_argument('--images', type=given_path, required=True, help='folder of its images')
    parser.add_argument(
        '--mode',
        default='windows',
        choices=['windows', 'coarse-to-fine', 'dense'],
        help='as of tools/locate.py (default: %(default)s)',
    )
    parser.add_argument(
        '--scales',
        type=int,
        nargs='+',
        default=[256, 512, 768],
        help='sides of the windows in pixels (default: 256 512 768)',
    )
    parser.add_argument('--queries', action='store_true', help='print the scores of each caption')
    parser.add_argument(
        '--batch-size', type=int, default=32, help='windows per forward pass (default: 32)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    return parser.parse_args()


def read_queries(anno: Path, images: Path) -> dict[Path, list[dict[str, Any]]]:
    """The captions and regions of each image."""
    from urbancross_mm.utils.paths import safe_join

    try:
        entries = json.loads(anno.read_text(encoding='utf-8'))
        queries: dict[Path, list[dict[str, Any]]] = {}
        for number, entry in enumerate(entries):
            path = Path(safe_join(images, entry['jpg_name'], f'{anno}, entry {number}'))
            query = dict(query_id=number, text=entry['caption'].strip(), regions=entry['points'])
            queries.setdefault(path, []).append(query)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f'{anno} must be a list of dicts with caption, jpg_name and points: {error!r}'
        ) from error
    if not queries:
        raise ValueError(f'{anno} has no entry')
    for path in queries:
        if not path.is_file():
            raise FileNotFoundError(f'no image at {path}, which {anno} names')
    return queries


def as_raster(image: Path, folder: Path) -> Path:
    """A GeoTIFF of an image in any format."""
    import warnings

    import rasterio

    from urbancross_mm.utils.images import read_image

    pixels = read_image(str(image))[0]
    path = folder / f'{image.stem}.tif'
    profile = dict(driver='GTiff', count=3, dtype='uint8', tiled=True, photometric='RGB')
    with (
        warnings.catch_warnings(action='ignore'),  # it has no position
        rasterio.open(path, 'w', height=len(pixels), width=pixels.shape[1], **profile) as file,
    ):
        file.write(pixels.transpose(2, 0, 1))
    return path


def evaluate(args: argparse.Namespace, queries: dict[Path, list[dict[str, Any]]]) -> Any:
    """Locate every caption in its image; the metric with what it noted."""
    from urbancross_mm.apis import SemanticLocalizer, load_config
    from urbancross_mm.evaluation import SemanticLocalizationMetric
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.utils.progress import track

    embedder = Embedder.from_config(
        load_config(args.config, args.cfg_options, args.sample),
        None if args.checkpoint == 'none' else args.checkpoint,
        device=args.device,
        batch_size=args.batch_size,
    )
    localizer, metric = SemanticLocalizer(embedder, progress=False), SemanticLocalizationMetric()
    for image, some in track(queries.items(), 'locate', len(queries)):
        with tempfile.TemporaryDirectory() as folder:
            raster = as_raster(image, Path(folder))
            localizer.set_image(raster, args.scales, args.mode)
            for query in some:
                heat_map = localizer.locate(text=query['text']).to_pixels()
                metric.process(None, [dict(query, heat_map=heat_map)])
    return metric


def main() -> None:
    """Locate, score, print."""
    args = parse_args()
    from urbancross_mm.toy import ensure_sample

    queries = read_queries(args.anno, args.images)
    if args.sample:
        ensure_sample()
    metric = evaluate(args, queries)
    total = sum(map(len, queries.values()))
    rows = [(f'{total} queries', metric.compute_metrics(metric.results))]
    if args.queries:
        texts = {query['query_id']: query['text'] for some in queries.values() for query in some}
        each = [(texts[result['query_id']], result['scores']) for result in metric.results]
        rows = [*each, *rows]
    print('| | Rsu (up) | Ras (down) | Rda (up) | Rmi (up) |')
    print('| --- ' * 5 + '|')
    for title, scores in rows:
        print(f'| {title} | ' + ' | '.join(f'{scores[name]:.4f}' for name in NAMES) + ' |')


if __name__ == '__main__':
    run_tool(main)
