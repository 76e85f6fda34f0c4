"""Convert a CLIP between the layouts of the field.

Reads open_clip, OpenAI (also its archives), RemoteCLIP, GeoRSCLIP, SkyCLIP, transformers (CLIP and
SigLIP folders), the published UrbanCross, and checkpoints of this package. Writes a folder for
open_clip or transformers, or a checkpoint for ``load_from``. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_trust_argument, given_path, run_tool  # noqa: E402

LAYOUTS = ('open_clip', 'transformers', 'urbancross_mm')
# Of unit vectors in float32. SigLIP's image tower is timm's in open_clip, with another GELU.
MOST, MOST_OF_TIMM = 1e-5, 5e-2


def main() -> None:
    """Convert a file or folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=given_path, help='file, or folder of a library')
    parser.add_argument(
        'out', type=given_path, help='folder to write; of urbancross_mm a .pth file'
    )
    parser.add_argument('--to', choices=LAYOUTS, required=True, help='layout to write')
    parser.add_argument(
        '--model',
        help='name in open_clip, such as ViT-B-32 (default: by the shapes of the weights)',
    )
    parser.add_argument(
        '--quick-gelu',
        action='store_true',
        help='the model was trained with QuickGELU, as those that fine-tune OpenAI weights are',
    )
    add_trust_argument(parser)
    parser.add_argument('--force', action='store_true', help='overwrite OUT')
    args = parser.parse_args()
    if (
        args.out.exists()
        and not args.force
        and not (args.out.is_dir() and not any(args.out.iterdir()))
    ):
        raise FileExistsError(f'{args.out} exists: give --force to overwrite it')
    from urbancross_mm.models.encoders import clip_conversion
    from urbancross_mm.utils.state_dicts import count_parts

    clip = clip_conversion.read_clip(args.source, args.model, args.quick_gelu)
    print(clip.report)
    save = {
        'open_clip': clip_conversion.save_open_clip,
        'transformers': clip_conversion.save_transformers,
        'urbancross_mm': clip_conversion.save_own,
    }[args.to]
    save(clip, args.out)
    if clip.segment and args.to != 'urbancross_mm':
        print(f'left out: the segment tower, {count_parts(clip.segment)}')
    far = clip_conversion.difference(clip, args.out)
    print(f'{len(clip.model.state_dict())} weights written to {args.out}')
    print(f'embeddings differ by at most {far:.1e}')
    timm = clip.cfg['vision_cfg'].get('timm_model_name')
    if far > (MOST_OF_TIMM if timm else MOST):
        raise ValueError(f'{args.out} computes other embeddings than {args.source}')


if __name__ == '__main__':
    run_tool(main)
