"""Let mmengine read every checkpoint through :func:`read_checkpoint`.

mmengine unpickles what torch's safe loader refuses, and runs the code that a file carries. The
Runner, ``init_cfg`` and the APIs of mmpretrain and mmseg all load through one module of mmengine.
Its two readers are replaced as soon as it is imported.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from urbancross_mm.utils.checkpoints import read_checkpoint, weights_of
from urbancross_mm.utils.import_hooks import run_after_import

MODULE = 'mmengine.runner.checkpoint'


def install_checkpoint_reader() -> None:
    """Replace mmengine's readers, now or when they are imported."""
    run_after_import(MODULE, _replace_readers)


def _replace_readers(module: Any) -> None:
    module.CheckpointLoader.register_scheme('', load_from_local, force=True)
    # Other schemes end in one of these two: a file, downloaded or not, or a buffer of a store.
    module._safe_torch_load = load_from_local
    module.load_url = _read_url
    find = module._load_checkpoint_with_prefix

    def find_or_say(prefix: str, filename: str, map_location: Any = None) -> dict[str, Any]:
        try:
            return find(prefix, filename, map_location)
        except AssertionError:
            raise ValueError(
                f'no weight in {filename} begins with {prefix!r}, the prefix of init_cfg'
            ) from None

    module._load_checkpoint_with_prefix = find_or_say
    to_model = module._load_checkpoint_to_model

    def load_own(model: Any, checkpoint: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        from urbancross_mm.utils.state_dicts import own_weights

        given = checkpoint.get('state_dict', checkpoint)
        weights = own_weights(model, given)
        if weights is not given:
            checkpoint = {**checkpoint, 'state_dict': OrderedDict(weights)}
        return to_model(model, checkpoint, *args, **kwargs)

    module._load_checkpoint_to_model = load_own
    to_module = module.load_state_dict

    def load_merged(model: Any, weights: Any, *args: Any, **kwargs: Any) -> None:
        from urbancross_mm.utils.state_dicts import without_branches

        # A whole retriever does so itself; a backbone would drop what it does not know.
        if not hasattr(getattr(model, 'module', model), 'add_finetuning'):
            merged = without_branches(model, weights)
            weights = weights if merged is weights else OrderedDict(merged)
        to_module(model, weights, *args, **kwargs)

    module.load_state_dict = load_merged
    load = module.load_checkpoint

    def load_or_say(model: Any, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        checkpoint = load(model, filename, *args, **kwargs)
        weights = checkpoint.get('state_dict', checkpoint)
        # mmengine logs the names, and goes on with random weights; other names may be asked for.
        if (
            len(args) < 4
            and 'revise_keys' not in kwargs
            and weights.keys().isdisjoint(model.state_dict())
        ):
            raise ValueError(
                f'no weight in {filename} is one of {type(model).__name__}: it holds '
                f'{", ".join(list(weights)[:3])}; name their prefix in init_cfg'
            )
        return checkpoint

    module.load_checkpoint = load_or_say


def load_from_local(
    filename: Any, map_location: Any = None, weights_only: bool | None = None
) -> dict[str, Any]:
    """Read a file on the CPU; loading copies it to its device. mmengine logs this name."""
    if not isinstance(filename, str | Path):
        raise ValueError('a checkpoint is read from a file: download it and name that')
    return _read(Path(filename).expanduser())


def _read(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    weights_of(checkpoint, path)  # or the error would blame the model
    return _without_config(checkpoint)


def _without_config(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Old checkpoints carry their config as text, which a resumed Runner would run."""
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint


def _read_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True
) -> dict[str, Any]:
    """Download a file to torch's cache if it is not there, and read it."""
    import torch

    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    path = folder / Path(urlparse(url).path).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=progress)
    return _read(path)
