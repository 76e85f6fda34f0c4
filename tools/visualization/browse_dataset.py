"""Look at training samples: image, masks, classes, segments and captions on one sheet each.

``python tools/visualization/browse_dataset.py CONFIG --out sheets/`` draws what the pipeline
gives the model, augmentation included.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, run_tool  # noqa: E402

if TYPE_CHECKING:
    import numpy as np


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('--out', default='outputs/browse', help='folder for the sheets')
    parser.add_argument(
        '--phase',
        default='train',
        choices=['train', 'val', 'test'],
        help='dataloader of the config to draw from (default: train)',
    )
    parser.add_argument('--number', type=int, default=20, help='sheets to draw (default: 20)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice and the augmentation')
    args = parser.parse_args()
    if args.number < 1:
        parser.error(f'--number must be at least 1, got {args.number}')
    return args


def draw_item(item: dict, palette: list[list[int]] | None = None) -> np.ndarray:
    """Draw one item of a dataset, as packed for the model.

    Args:
        item (dict): ``inputs`` and ``data_samples`` from ``PackRetrievalInputs``.
        palette (list, optional): A color for each class of its class map.

    Returns:
        np.ndarray: The sheet, uint8 RGB.
    """
    from urbancross_mm.functional.segments import compose_white, unpack_bits
    from urbancross_mm.visualization import draw_sample_sheet

    inputs, sample = item['inputs'], item['data_samples']
    image = inputs['image']
    if image.dim() != 3:
        raise ValueError(
            f'{sample.img_id} comes as features {tuple(image.shape)}, not as an '
            'image: browse a config that loads images'
        )
    masks, segments = None, []
    if 'segment_bits' in inputs:
        count = int(inputs['segment_count'])
        bits = unpack_bits(inputs['segment_bits'][None], count)
        segments = compose_white(image[None], bits)[0].permute(0, 2, 3, 1).numpy()
        masks = bits[0].numpy()
    elif 'segment_images' in inputs:
        count = int(inputs['segment_count'])
        segments = inputs['segment_images'][:count].permute(0, 2, 3, 1).numpy()
    title = f'{sample.img_id}   domain: {sample.domain}   {tuple(image.shape[1:])}'
    if 'audio_ids' in sample:
        title += f'   recordings: {len(sample.audio_ids)}'
    labels = sample.gt_sem_seg.data[0].numpy() if 'gt_sem_seg' in sample else None
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return draw_sample_sheet(pixels, sample.captions, title, segments, masks, labels, palette)


def main() -> None:
    """Draw the sheets."""
    args = parse_args()
    import numpy as np
    import torch
    from mmengine.registry import init_default_scope
    from PIL import Image
    from tqdm import tqdm

    from urbancross_mm.apis import load_config
    from urbancross_mm.registry import DATASETS
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    cfg = load_config(args.config, args.cfg_options, args.sample)
    init_default_scope(cfg.get('default_scope', 'urbancross_mm'))
    loader = f'{args.phase}_dataloader'
    if not isinstance(cfg.get(loader), dict) or not cfg[loader].get('dataset'):
        raise ValueError(f'{args.config} has no {loader} with a dataset')
    dataset = DATASETS.build(cfg[loader].dataset)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    chosen = np.random.permutation(len(dataset))[: args.number]
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(tqdm(chosen, desc='draw')):
        sheet = draw_item(dataset[int(index)], dataset.metainfo.get('palette'))
        Image.fromarray(sheet).save(folder / f'{number:03d}.png')
    print(f'{len(chosen)} of {len(dataset)} items of the {args.phase} set are drawn in {folder}')


if __name__ == '__main__':
    run_tool(main)
