"""A merged checkpoint is a plain one."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.models.finetuning.test_state import ADAPTERS, LORA, build, embeds, trained

TOOL = Path(__file__).resolve().parents[3] / 'tools/model_converters/merge_lora.py'


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name='__main__')
    return ended.value.code


def save(model: nn.Module, path: Path) -> Path:
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), path)
    return path


def test_the_file_is_that_of_the_plain_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    model, plain, out = trained(LORA), build(), tmp_path / 'new' / 'merged.pth'
    assert run(monkeypatch, save(model, tmp_path / 'epoch_1.pth'), out) == 0
    assert 'LoRA of 16 layers merged' in capsys.readouterr().out
    weights = torch.load(out, weights_only=True)['state_dict']
    assert list(weights) == list(plain.state_dict())
    plain.load_state_dict(weights)
    torch.testing.assert_close(embeds(plain), embeds(model), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    'finetune, found',
    [(None, 'plain weights'), (ADAPTERS, '2 adapters')],
    ids=['plain', 'adapters'],
)
def test_nothing_to_merge(
    finetune: dict | None,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    path = save(build(finetune), tmp_path / 'epoch_1.pth')
    assert run(monkeypatch, path, tmp_path / 'merged.pth') != 0
    said = capsys.readouterr().err
    assert str(path) in said and found in said
    assert not (tmp_path / 'merged.pth').exists()


def test_a_file_that_exists_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = save(build(LORA), tmp_path / 'epoch_1.pth')
    assert run(monkeypatch, path, path) != 0
    assert '--force' in capsys.readouterr().err


def test_a_work_directory_stands_for_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(build(LORA), tmp_path / 'epoch_1.pth')
    assert run(monkeypatch, tmp_path, tmp_path / 'merged.pt') == 0
    assert (tmp_path / 'merged.pt').exists()
