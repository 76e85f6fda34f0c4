"""The renamed weights compute what torchvision computes."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torchvision

from urbancross_mm.models import BackboneEncoder

TOOL = Path(__file__).resolve().parents[3] / 'tools/model_converters/torchvision_to_mmpretrain.py'


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(TOOL.stem, TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def randomise_norms(model: torch.nn.Module) -> torch.nn.Module:
    """Fresh statistics are all equal and would hide a mix-up."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize(
    'name, backbone',
    [
        ('mobilenet_v2', dict(type='mmpretrain.MobileNetV2')),
        ('resnet18', dict(type='mmpretrain.ResNet', depth=18)),
    ],
)
def test_features_agree(name: str, backbone: dict, tool: ModuleType, tmp_path: Path) -> None:
    model = randomise_norms(getattr(torchvision.models, name)(num_classes=5))
    converted = tool.convert(model.state_dict())
    assert {'head.fc.weight', 'head.fc.bias'} <= set(converted)
    torch.save({'state_dict': converted}, tmp_path / 'out.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'out.pth'), prefix='backbone.')
    encoder = BackboneEncoder({**backbone, 'init_cfg': init_cfg}, projection=None)
    encoder.init_weights()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        got = encoder.eval()(image) @ converted['head.fc.weight'].T + converted['head.fc.bias']
        torch.testing.assert_close(got, model(image), rtol=1e-4, atol=1e-4)


def test_another_model(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match='encoder.weight'):
        tool.convert({'encoder.weight': torch.zeros(1)})


def test_command_line(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    torch.save(torchvision.models.mobilenet_v2(num_classes=2).state_dict(), tmp_path / 'in.pth')
    command = ['model_converters/' + TOOL.stem, tmp_path / 'in.pth', tmp_path / 'out.pth']
    assert call_tool(*command)[0] == 0
    code, text = call_tool(*command)
    assert code == 2 and '--force' in text
    assert call_tool(*command, '--force')[0] == 0
