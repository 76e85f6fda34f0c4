"""Draw a map of the image and caption embeddings of two domains, for each checkpoint.

``python tools/analysis_tools/embedding_map.py CONFIG BEFORE AFTER --source-config SOURCE_CONFIG
--out map.png`` embeds the test sets of CONFIG (the target) and of SOURCE_CONFIG (the source) with
every checkpoint, and draws one panel per checkpoint. The color is the domain, the marker the
modality. Titles show the proxy A-distance of the domains (0: the same, 2: separable) and the
hubness of the target. The same numbers go to a .json file beside the image. The model and its
tokenizer are those of SOURCE_CONFIG, which fit checkpoints from before and after an adaptation.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs, write_all  # noqa: E402
from urbancross_mm.utils.options import ConfigOptions  # noqa: E402

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='checkpoint',
        help='checkpoint file or work directory, or "none": zero-shot',
    )
    parser.add_argument('--source-config', required=True, help='config of the source domain')
    parser.add_argument(
        '--source-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='like --cfg-options, for the config of the source',
    )
    parser.add_argument('--out', required=True, help='the image (.png)')
    parser.add_argument(
        '--method',
        choices=['tsne', 'pca'],
        default='tsne',
        help='t-SNE needs scikit-learn (default: tsne)',
    )
    parser.add_argument(
        '--max-items',
        type=int,
        default=500,
        help='number of images, and of captions, per domain at most (default: 500)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the chosen items and of the map'
    )
    parser.add_argument(
        '--split', choices=['test', 'val'], default='test', help='images to draw (default: test)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if not args.out.endswith('.png'):
        parser.error(f'--out must end in .png, got {args.out}')
    check_outputs([args.out])
    return args


def load_configs(args: argparse.Namespace) -> tuple[Config, Config]:
    """Read the source's config, and the same with the target's test set."""
    from mmengine.config import Config

    from urbancross_mm.experiments.testing_data import replace_test_set
    from urbancross_mm.inference.config import load_config

    source = load_config(args.source_config, args.source_options, args.sample)
    target = load_config(args.config, args.cfg_options, args.sample)
    for cfg in (source, target):
        cfg.test_dataloader = cfg[f'{args.split}_dataloader']
    return source, Config(replace_test_set(source.to_dict(), target.to_dict()))


def embed(
    args: argparse.Namespace, checkpoint: str, source: Config, target: Config
) -> tuple[dict, dict]:
    """Embed both domains with one checkpoint: groups for the map, and its numbers."""
    from urbancross_mm.inference.domain_embeds import compare_domains, embed_test_set
    from urbancross_mm.inference.embedder import Embedder

    embedder = Embedder.from_config(
        source, None if checkpoint == 'none' else checkpoint, device=args.device
    )
    domains = [embed_test_set(embedder, cfg, args.max_items, args.seed) for cfg in (source, target)]
    groups, sizes = {}, {}
    for role, domain in zip(('source', 'target'), domains):
        label = f'{role} {domain.name}'
        groups[label, 'image'], groups[label, 'caption'] = domain[1:]
        sizes[role] = dict(
            domain=domain.name, images=len(domain.image_embeds), captions=len(domain.text_embeds)
        )
    used = embedder.checkpoint or checkpoint
    return groups, dict(checkpoint=used, **compare_domains(*domains), **sizes)


def title_of(numbers: dict) -> str:
    """Name the checkpoint and its numbers."""
    name = '/'.join(Path(numbers['checkpoint']).parts[-2:])
    return (
        f'{name}\n'
        f'A-distance: image {numbers["a_distance_image"]:.2f}, '
        f'caption {numbers["a_distance_text"]:.2f}\n'
        f'hubness: i2t {numbers["hubness_i2t"]:.2f}, t2i {numbers["hubness_t2i"]:.2f}'
    )


def main() -> None:
    """Embed, project, draw."""
    args = parse_args()
    from PIL import Image

    from urbancross_mm.toy import ensure_sample
    from urbancross_mm.visualization import draw_embedding_map, project_2d

    if args.sample:
        ensure_sample()
    configs = load_configs(args)
    panels, records = [], []
    for checkpoint in args.checkpoints:
        groups, numbers = embed(args, checkpoint, *configs)
        panels.append((title_of(numbers), project_2d(groups, args.method, args.seed)))
        records.append(numbers)
        print(title_of(numbers))
    out = Path(args.out)
    image = io.BytesIO()
    Image.fromarray(draw_embedding_map(panels)).save(image, 'png')
    content = dict(
        config=args.config,
        source_config=args.source_config,
        split=args.split,
        method=args.method,
        seed=args.seed,
        maps=records,
    )
    write_all(
        {out: image.getvalue(), out.with_suffix('.json'): json.dumps(content, indent=2) + '\n'}
    )
    print(f'map: {out}, numbers: {out.with_suffix(".json")}')


if __name__ == '__main__':
    run_tool(main)
