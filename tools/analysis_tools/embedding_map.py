"""Draw where a model puts the images and sentences of two domains, for each checkpoint.

``python tools/analysis_tools/embedding_map.py CONFIG BEFORE AFTER --source-config SOURCE_CONFIG
--out map.png`` embeds the test set of CONFIG, the target, and that of SOURCE_CONFIG, the source,
with every checkpoint, and draws one panel each: color is the domain, marker the modality. Titles
show the proxy A-distance of the domains (0: not to be told apart, 2: separable) and the hubness of
the target; the same numbers go to a .json beside the image. The model and its tokenizer are those
of SOURCE_CONFIG, which checkpoints from before and after an adaptation fit alike.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from mmengine.config import Config  # noqa: E402
from PIL import Image  # noqa: E402

from urbancross_mm.apis import (  # noqa: E402
    RetrievalInferencer,
    add_common_arguments,
    compare_domains,
    embed_test_set,
    ensure_sample,
    load_config,
    resolve_checkpoint,
)
from urbancross_mm.experiments.testing_data import replace_test_set  # noqa: E402
from urbancross_mm.utils.checkpoints import add_trust_argument  # noqa: E402
from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs, write_all  # noqa: E402
from urbancross_mm.utils.options import ConfigOptions  # noqa: E402
from urbancross_mm.visualization import draw_embedding_map, project_2d  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
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
        help='as --cfg-options, for the config of the source',
    )
    parser.add_argument('--out', required=True, help='the image (.png)')
    parser.add_argument(
        '--method',
        choices=['tsne', 'pca'],
        default='tsne',
        help='t-SNE needs scikit-learn, pca nothing (default: tsne)',
    )
    parser.add_argument(
        '--max-items',
        type=int,
        default=500,
        help='images, and sentences, of a domain at most (default: 500)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the choice and of the map')
    parser.add_argument('--split', choices=['test', 'val'], default='test')
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if not args.out.endswith('.png'):
        parser.error(f'--out must end in .png, got {args.out}')
    check_outputs([args.out])
    return args


def load_configs(args: argparse.Namespace) -> tuple[Config, Config]:
    """Read the source's config, and the same with the target's test set."""
    source = load_config(args.source_config, args.source_options, args.sample)
    target = load_config(args.config, args.cfg_options, args.sample)
    for cfg in (source, target):
        cfg.test_dataloader = cfg[f'{args.split}_dataloader']
    return source, Config(replace_test_set(source.to_dict(), target.to_dict()))


def embed(
    args: argparse.Namespace, checkpoint: str, source: Config, target: Config
) -> tuple[dict, dict]:
    """Embed both domains with one checkpoint: groups for the map, and its numbers."""
    weights = None if checkpoint == 'none' else resolve_checkpoint(checkpoint)
    inferencer = RetrievalInferencer(source, weights, device=args.device)
    domains = [
        embed_test_set(inferencer, cfg, args.max_items, args.seed) for cfg in (source, target)
    ]
    groups, sizes = {}, {}
    for role, domain in zip(('source', 'target'), domains):
        label = f'{role} {domain.name}'
        groups[label, 'image'], groups[label, 'sentence'] = domain[1:]
        sizes[role] = dict(
            domain=domain.name, images=len(domain.image_embeds), sentences=len(domain.text_embeds)
        )
    return groups, dict(checkpoint=str(weights or checkpoint), **compare_domains(*domains), **sizes)


def title_of(numbers: dict) -> str:
    """Name the checkpoint and its numbers."""
    name = '/'.join(Path(numbers['checkpoint']).parts[-2:])
    return (
        f'{name}\n'
        f'A-distance: image {numbers["a_distance_image"]:.2f}, '
        f'sentence {numbers["a_distance_text"]:.2f}\n'
        f'hubness: i2t {numbers["hubness_i2t"]:.2f}, t2i {numbers["hubness_t2i"]:.2f}'
    )


def main() -> None:
    """Embed, project, draw."""
    args = parse_args()
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
    print(f'drawn to {out}, numbers in {out.with_suffix(".json")}')


if __name__ == '__main__':
    run_tool(main)
