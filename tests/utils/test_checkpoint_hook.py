"""mmengine, mmpretrain and mmseg read checkpoints through our reader."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmengine.runner.checkpoint as mm
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader, Runner

from tests.carriers import CARRIERS, Carrier
from tests.test_architecture import ROOT


class Line(BaseModule):
    """One layer."""

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.layer = torch.nn.Linear(2, 2)


def init_cfg(path: Path, **options: str) -> None:
    Line(dict(type='Pretrained', checkpoint=str(path), **options)).init_weights()


def foreign(scope: str, kind: str, path: Path, **options: object) -> None:
    part = MODELS.build(
        dict(
            type=f'{scope}.{kind}',
            **options,
            init_cfg=dict(type='Pretrained', checkpoint=str(path)),
        )
    )
    part.init_weights()


def download(path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {'x': 'https://example.org/x.pth'}
    for name in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(mm, name, lambda: urls)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(path.parent / 'hub'))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, to, **_: Path(to).write_bytes(path.read_bytes()),
    )
    CheckpointLoader.load_checkpoint(urls['x'] if scheme == 'https' else f'{scheme}://x')


LOADERS: dict[str, Callable[[Path], object]] = {
    'loader': lambda path: CheckpointLoader.load_checkpoint(str(path)),
    'load_checkpoint': lambda path: mm.load_checkpoint(Line(), str(path)),
    'prefix': lambda path: mm._load_checkpoint_with_prefix('layer', str(path)),
    'init_cfg': init_cfg,
    'init_cfg with prefix': lambda path: init_cfg(path, prefix='layer'),
    'mmpretrain': lambda path: foreign('mmpretrain', 'MobileNetV2', path),
    'mmpretrain swin': lambda path: foreign('mmpretrain', 'SwinTransformer', path, arch='tiny'),
    'mmseg': lambda path: foreign('mmseg', 'ResNetV1c', path, depth=18),
    'mmseg swin': lambda path: foreign('mmseg', 'SwinTransformer', path),
}


@pytest.mark.parametrize('loader', LOADERS)
def test_no_loader_runs_what_a_checkpoint_carries(loader: str, tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    for kind in CARRIERS:
        torch.save(
            dict(state_dict=Line().state_dict(), note=Carrier(kind, mark)), tmp_path / 'x.pth'
        )
        with pytest.raises(ValueError, match='x.pth'):
            LOADERS[loader](tmp_path / 'x.pth')
    assert not mark.exists()


@pytest.mark.parametrize(
    'scheme', ['https', 'torchvision', 'open-mmlab', 'openmmlab', 'mmcls', 'modelzoo']
)
def test_a_download_is_read_so_too(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mark = tmp_path / 'carrying.pth', tmp_path / 'mark'
    torch.save(dict(state_dict={}, note=Carrier('eval', mark)), path)
    with pytest.raises(ValueError, match='hub/checkpoints/x.pth'):
        download(path, scheme, monkeypatch)
    assert not mark.exists()
    (tmp_path / 'hub/checkpoints/x.pth').unlink()
    torch.save({'layer.weight': torch.ones(2)}, path)
    download(path, scheme, monkeypatch)


def test_a_buffer_of_a_store_is_refused() -> None:
    with pytest.raises(ValueError, match='download it and name that'):
        mm._safe_torch_load(open(__file__, 'rb'))  # noqa: SIM115


def test_what_mmengine_loads_is_what_the_file_holds(tmp_path: Path) -> None:
    whole, result = Line(), Line()
    weights = {f'module.{name}': value for name, value in whole.state_dict().items()}
    torch.save(dict(model=weights, epoch=3), tmp_path / 'x.pth')
    mm.load_checkpoint(result, str(tmp_path / 'x.pth'), strict=True)
    assert all(torch.equal(*pair) for pair in zip(result.parameters(), whole.parameters()))
    part = BaseModule(dict(type='Pretrained', prefix='layer', checkpoint=str(tmp_path / 'x.pth')))
    part.register_parameter('weight', torch.nn.Parameter(torch.zeros(2, 2)))
    part.init_weights()
    assert torch.equal(part.weight, whole.layer.weight)


@pytest.mark.parametrize(
    'imports',
    [
        'urbancross_mm, mmengine.runner',
        'mmengine.runner, urbancross_mm',
        'urbancross_mm, mmpretrain.apis',
    ],
)
def test_the_order_of_imports_does_not_matter(imports: str) -> None:
    code = (
        f'import {imports}\nfrom mmengine.runner import CheckpointLoader, checkpoint\n'
        'for reader in (CheckpointLoader._get_checkpoint_loader("x.pth"), checkpoint.load_url,'
        ' checkpoint._safe_torch_load):\n    print(reader.__module__)'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.split() == ['urbancross_mm.utils.checkpoint_hook'] * 3


def test_the_runner_loads_through_the_same_module() -> None:
    assert Runner.load_checkpoint.__globals__['_load_checkpoint'] is mm._load_checkpoint


def test_a_prefix_that_no_weight_has_is_named(tmp_path: Path) -> None:
    torch.save(Line().state_dict(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match="x.pth .*'backbone.'"):
        init_cfg(tmp_path / 'x.pth', prefix='backbone.')


@pytest.mark.parametrize(
    'content',
    [{'state_dict': {'other.weight': torch.ones(2, 2)}}, {'tower.layer.weight': torch.ones(2, 2)}],
)
def test_weights_of_which_none_fits_are_refused(content: dict, tmp_path: Path) -> None:
    """mmengine would log their names, and train from random ones."""
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth .*Line'):
        init_cfg(tmp_path / 'a.pth')


def test_a_part_of_the_weights_is_enough(tmp_path: Path) -> None:
    torch.save(
        {'layer.bias': torch.full((2,), 7.0), 'head.weight': torch.ones(1)}, tmp_path / 'a.pth'
    )
    line = Line(dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    line.init_weights()
    assert line.layer.bias.tolist() == [7, 7]
    torch.save({'tower.layer.bias': torch.full((2,), 5.0)}, tmp_path / 'b.pth')
    mm.load_checkpoint(line, str(tmp_path / 'b.pth'), revise_keys=[(r'^tower\.', '')])
    assert line.layer.bias.tolist() == [5, 5]


def test_a_file_without_weights_is_no_other_model(tmp_path: Path) -> None:
    torch.save({'model': {'state_dict': {'layer.bias': torch.ones(2)}}}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth .* model'):
        init_cfg(tmp_path / 'a.pth')
