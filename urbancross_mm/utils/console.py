"""The command ``urbancross``: every tool under one name, from an installed wheel or a clone."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from urbancross_mm.utils.cli import run_tool

COMMANDS = {
    'train': 'train.py',
    'test': 'test.py',
    'search': 'search.py',
    'locate': 'locate.py',
    'index': 'build_index.py',
    'classify': 'classify.py',
    'curate': 'curate.py',
    'serve': 'serve.py',
    'sample': 'misc/make_sample.py',
    'convert urbancross': 'dataset_converters/urbancross.py',
    'convert precomp': 'dataset_converters/precomp.py',
    'convert karpathy': 'dataset_converters/karpathy.py',
    'convert image-folder': 'dataset_converters/image_folder.py',
    'convert segment-folders': 'dataset_converters/segment_folders.py',
    'convert classical-segments': 'dataset_converters/classical_segments.py',
    'convert seg-maps': 'dataset_converters/seg_maps.py',
    'convert web-shards': 'dataset_converters/web_shards.py',
    'convert torchvision': 'model_converters/torchvision_to_mmpretrain.py',
    'convert clip': 'model_converters/convert_clip.py',
    'merge lora': 'model_converters/merge_lora.py',
    'publish': 'model_converters/publish_model.py',
    'export': 'misc/export_model.py',
    'verify': 'misc/verify_dataset.py',
    'card': 'misc/dataset_card.py',
    'browse': 'visualization/browse_dataset.py',
    'class-weights': 'misc/class_weights.py',
    'speak': 'misc/speak_captions.py',
    'overlay': 'visualization/segmentation_overlay.py',
    'config': 'misc/print_config.py',
    'features': 'misc/extract_features.py',
    'copy-index': 'misc/copy_index.py',
    'matrix': 'analysis_tools/cross_domain_matrix.py',
    'map': 'analysis_tools/embedding_map.py',
    'report': 'analysis_tools/adaptation_report.py',
    'errors': 'analysis_tools/retrieval_errors.py',
    'localization': 'analysis_tools/evaluate_localization.py',
    'pick': 'analysis_tools/pick_checkpoint.py',
    'average': 'analysis_tools/average_folds.py',
    'propose': 'analysis_tools/propose_anchors.py',
}
HELP = ('-h', '--help')


def tools_folder() -> Path:
    """The tools, wherever the package is installed.

    Returns:
        Path: ``.mim/tools`` inside it, or of a clone that is not installed the folder beside it.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'tools'
    return installed if installed.is_dir() else package.parent / 'tools'


def main() -> None:
    """Run ``urbancross COMMAND ...`` as ``python tools/COMMAND.py ...`` runs."""
    words = sys.argv[1:]
    command = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)
    if command is not None:
        # argparse shows the first word as the name of the program.
        sys.argv = [f'urbancross {command}', *words[len(command.split()) :]]
        run_tool(_load(COMMANDS[command]).main)
    elif not words or words[0] in HELP:
        run_tool(lambda: print(_overview(list(COMMANDS))))
    elif _group(words[0]) and (words[1:2] == [] or words[1] in HELP):
        run_tool(lambda: print(_overview(_group(words[0]))))
    else:
        run_tool(lambda: _refuse(words))


def _load(tool: str) -> ModuleType:
    name = f'urbancross_tool_{Path(tool).stem}'
    spec = importlib.util.spec_from_file_location(name, tools_folder() / tool)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _group(word: str) -> list[str]:
    """The commands of two words that begin with this one."""
    return [name for name in COMMANDS if name.startswith(f'{word} ')]


def _overview(names: list[str]) -> str:
    width = max(map(len, names))
    lines = [f'  {name:{width}}  {_summary(COMMANDS[name])}' for name in names]
    return '\n'.join(
        ['usage: urbancross COMMAND ... (urbancross COMMAND --help shows its options)', '', *lines]
    )


def _summary(tool: str) -> str:
    """The first sentence of a tool's docstring, which is read and not run."""
    docstring = ast.get_docstring(ast.parse((tools_folder() / tool).read_text('utf-8'))) or ''
    return docstring.splitlines()[0].partition(': ``')[0].rstrip('.')


def _refuse(words: list[str]) -> None:
    asked = ' '.join(words[:2] if _group(words[0]) else words[:1])
    close = difflib.get_close_matches(asked, [*COMMANDS, 'convert'], n=1)
    hint = f'; did you mean {close[0]!r}?' if close else ''
    raise ValueError(f'no command {asked!r}{hint} (urbancross --help lists them)')
