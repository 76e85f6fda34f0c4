"""Export a model for other programs: ``tools/misc/export_model.py CONFIG CHECKPOINT --out FOLDER``.

Writes both towers as ONNX and with torch.export, compares them with the model, and describes them
in model.json: image size, mean and standard deviation, tokenizer, width and fingerprint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument  # noqa: E402
from urbancross_mm.utils.cli import given_path, run_tool  # noqa: E402

FORMATS, MODALITIES = ('onnx', 'torch'), ('image', 'text')


def main() -> None:
    """Export."""
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file or work directory of the config (default: the '
        'pretrained weights that it names)',
    )
    parser.add_argument('--out', type=given_path, required=True, help='folder to write')
    parser.add_argument('--force', action='store_true', help='write into a folder that has files')
    parser.add_argument(
        '--formats', nargs='+', choices=FORMATS, default=list(FORMATS), help='default: both'
    )
    parser.add_argument(
        '--modalities',
        nargs='+',
        choices=MODALITIES,
        default=list(MODALITIES),
        help='default: both',
    )
    args = parser.parse_args()
    if args.out.exists() and not args.force and (args.out.is_file() or any(args.out.iterdir())):
        raise FileExistsError(f'{args.out} exists; --force writes into it')
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.export import export_model
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    cfg = load_config(args.config, args.cfg_options, args.sample)
    embedder = Embedder.from_config(cfg, args.checkpoint, device='cpu')
    content = export_model(embedder, args.out, args.formats, args.modalities)
    for modality in args.modalities:
        part = content[modality]
        rows = 'any number of rows' if part['batch'] is None else f'{part["batch"]} row at a time'
        for kind, far in part['largest_difference'].items():
            print(f'{args.out / part["files"][kind]}: {rows}, differs by at most {far:.1e}')


if __name__ == '__main__':
    run_tool(main)
