"""mmpretrain knows the configs of this package by name, and importing us stays cheap."""

import subprocess
import sys
from pathlib import Path

import mmpretrain
import pytest
import torch
import yaml
from mmengine.config import Config

from tests.test_architecture import ROOT
from urbancross_mm.models import CrossModalRetriever, UrbanCross

INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
FILES = [ROOT / name for name in INDEX]
CONTENTS = {path: yaml.safe_load(path.read_text()) for path in FILES}
NAMES = [model['Name'] for content in CONTENTS.values() for model in content['Models']]


def test_every_model_is_listed_beside_those_of_mmpretrain() -> None:
    listed = mmpretrain.list_models()
    assert set(NAMES) <= set(listed)
    assert 'resnet18_8xb32_in1k' in listed
    ours = [name for name in NAMES if name.startswith('urbancross')]
    assert mmpretrain.list_models('urbancross*') == sorted(ours) and len(ours) > 15


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.parent.name)
def test_a_metafile_names_what_exists(path: Path) -> None:
    content = CONTENTS[path]
    collections = {collection['Name']: collection for collection in content['Collections']}
    for model in content['Models']:
        assert (ROOT / model['Config']).is_file(), model['Config']
        assert model['In Collection'] in collections
        assert model['Name'] == model['Name'].lower()
    for collection in collections.values():
        assert (ROOT / collection['README']).is_file()
    assert len(set(NAMES)) == len(NAMES)


def test_a_model_by_its_name_without_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real size takes seconds to build: the smallest model of open_clip stands for it."""
    import open_clip

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError('a download')

    monkeypatch.setattr(open_clip, 'download_pretrained', refuse)
    small = dict(model_name='ViT-S-32-alt')
    towers = dict(image_encoder=small, text_encoder=small)
    model = mmpretrain.get_model('urbancross_rsicd', **towers)
    assert isinstance(model, UrbanCross) and not model.training
    assert model._metainfo.name == 'urbancross_rsicd'
    assert isinstance(model._config, Config)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'own.pth')
    path = str(tmp_path / 'own.pth')
    again = mmpretrain.get_model('urbancross_rsicd_no-segments', path, **towers)
    assert type(again) is CrossModalRetriever
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(model.encode_image(image), again.encode_image(image))
    with pytest.raises(ValueError, match='urbancross_nowhere'):
        mmpretrain.get_model('urbancross_nowhere')


def test_no_config_is_read_before_a_model_is_asked_for() -> None:
    code = (
        'import sys, urbancross_mm; light = "mmpretrain" not in sys.modules; '
        'import mmpretrain; names = mmpretrain.list_models("urbancross*"); '
        'print(light, len(names) > 15, "urbancross_mm.inference" in sys.modules)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split()[-3:] == ['True', 'True', 'False']
