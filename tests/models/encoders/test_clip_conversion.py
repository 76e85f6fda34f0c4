"""Converted models compute what their sources compute, in both directions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
import transformers
from timm.models.vision_transformer import _create_vision_transformer

from tests.models.encoders.clip_files import (
    CFG,
    FILES,
    IMAGE,
    OPENAI,
    QUICK,
    TEXT,
    clip,
    published,
    randomised,
)
from urbancross_mm.datasets import HuggingFaceTokenizer, OpenCLIPTokenizer
from urbancross_mm.models import CrossModalRetriever, OpenCLIPImageEncoder, UrbanCross
from urbancross_mm.models.encoders import clip_conversion
from urbancross_mm.models.encoders.clip_conversion import read_clip
from urbancross_mm.models.encoders.clip_weights import is_local
from urbancross_mm.utils.checkpoints import read_checkpoint

SIZES = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96)
CLIP_TEXT = dict(SIZES, vocab_size=64, max_position_embeddings=8)
VISION = dict(SIZES, image_size=32, patch_size=16)
ENCODERS = dict(
    image_encoder=dict(type='OpenCLIPImageEncoder', model_cfg=CFG),
    text_encoder=dict(type='OpenCLIPTextEncoder', model_cfg=CFG),
)


@timm.models.register_model
def vit_tiny_patch16_siglip_32(pretrained: bool = False, **kwargs: Any) -> Any:
    """SigLIP's image tower at a size for tests."""
    sizes = dict(embed_dim=64, depth=2, num_heads=2, mlp_ratio=1.5, patch_size=16, img_size=32)
    options = {**sizes, 'class_token': False, 'global_pool': 'map', **kwargs}
    return _create_vision_transformer('vit_tiny_patch16_siglip_32', pretrained, **options)


def clip_folder(folder: Path, act: str = 'quick_gelu', **text: Any) -> Any:
    config = transformers.CLIPConfig(
        dict(CLIP_TEXT, hidden_act=act, **{'eos_token_id': 63, **text}),
        dict(VISION, hidden_act=act),
        projection_dim=32,
    )
    return saved(transformers.CLIPModel(config), folder)


def siglip_folder(folder: Path, act: str = 'gelu') -> Any:
    config = transformers.SiglipConfig(
        dict(SIZES, vocab_size=64, max_position_embeddings=8, hidden_act='gelu_pytorch_tanh'),
        dict(VISION, hidden_act=act),
    )
    return saved(transformers.SiglipModel(config), folder)


def saved(model: Any, folder: Path) -> Any:
    randomised(model).save_pretrained(folder)
    return model


def assert_same(first: Any, second: Any) -> None:
    """Two models, each of open_clip or of transformers."""
    with torch.no_grad():
        for one, other in zip(embeds_of(first), embeds_of(second)):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def embeds_of(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    if hasattr(model, 'encode_image'):
        return model.encode_image(IMAGE), model.encode_text(TEXT)
    return model.get_image_features(IMAGE), model.get_text_features(TEXT)


FOLDERS: dict[str, Callable[[Path], Any]] = {
    'clip': clip_folder,
    'clip_gelu': lambda folder: clip_folder(folder, 'gelu'),
    'clip_old_end': lambda folder: clip_folder(folder, eos_token_id=2),
    'clip_other_end': lambda folder: clip_folder(folder, eos_token_id=62),
    'siglip': siglip_folder,
}


@pytest.mark.parametrize('kind', FOLDERS)
def test_transformers_to_open_clip_and_back(kind: str, tmp_path: Path) -> None:
    source = FOLDERS[kind](tmp_path / 'source')
    found = read_clip(tmp_path / 'source')
    assert_same(source, found.model)
    assert float(source.logit_scale) == float(found.model.logit_scale)
    clip_conversion.save_open_clip(found, tmp_path / 'open')
    model = open_clip.create_model(f'local-dir:{tmp_path / "open"}').eval()
    assert_same(found.model, model)
    again = read_clip(tmp_path / 'open')
    clip_conversion.save_transformers(again, tmp_path / 'back')
    assert_same(
        model, transformers.AutoModel.from_pretrained(tmp_path / 'back', local_files_only=True)
    )
    assert clip_conversion.difference(again, tmp_path / 'back') < 1e-5


def test_the_other_gelu_of_siglip_shows_little(tmp_path: Path) -> None:
    source = siglip_folder(tmp_path, 'gelu_pytorch_tanh')
    found = read_clip(tmp_path)
    with torch.no_grad():
        pairs = zip(embeds_of(source), embeds_of(found.model))
        cosines = [torch.cosine_similarity(one, other).min() for one, other in pairs]
    assert cosines[0] > 0.999 and cosines[1] > 0.99999


@pytest.mark.parametrize('layout', {**FILES, **OPENAI})
@pytest.mark.parametrize('to', ['open_clip', 'transformers'])
def test_files_to_folders(layout: str, to: str, tmp_path: Path) -> None:
    name, save = {**FILES, **OPENAI}[layout]
    model = clip(QUICK if layout in OPENAI else CFG)
    save(model, tmp_path / name)
    found = read_clip(tmp_path / name)
    getattr(clip_conversion, f'save_{to}')(found, tmp_path / 'out')
    if to == 'open_clip':
        assert_same(model, open_clip.create_model(f'local-dir:{tmp_path / "out"}').eval())
    else:
        result = transformers.AutoModel.from_pretrained(tmp_path / 'out', local_files_only=True)
        assert_same(model, result)
    assert clip_conversion.difference(found, tmp_path / 'out') < 1e-5


@pytest.mark.parametrize('segments', [False, True])
def test_a_published_urbancross_becomes_a_checkpoint(segments: bool, tmp_path: Path) -> None:
    model = clip()
    published(model, tmp_path / 'published.pth', segments)
    found = read_clip(tmp_path / 'published.pth')
    clip_conversion.save_own(found, tmp_path / 'own.pth')
    weights = torch.load(tmp_path / 'own.pth', weights_only=True)['state_dict']
    retriever = UrbanCross(**ENCODERS)
    retriever.load_state_dict(weights, strict=True)
    retriever.eval()
    assert_same(model, SameNames(retriever))
    images = [retriever.image_encoder(IMAGE), retriever.segment_encoder.encoder(IMAGE)]
    assert torch.allclose(*images, atol=1e-4) == (not segments)
    if segments:
        second = read_checkpoint(tmp_path / 'published.pth')['state_dict']
        name = 'visual.conv1.weight'
        kept = retriever.segment_encoder.encoder.tower.conv1.weight
        assert torch.equal(kept, second[f'clip_img_seg.{name}'])


class SameNames:
    """The towers of a retriever under open_clip's names."""

    def __init__(self, retriever: Any) -> None:
        self.encode_image, self.encode_text = retriever.image_encoder, retriever.text_encoder


def test_a_checkpoint_of_this_package_to_open_clip(tmp_path: Path) -> None:
    retriever = CrossModalRetriever(**ENCODERS).eval()
    torch.save(dict(state_dict=retriever.state_dict(), meta=dict(epoch=1)), tmp_path / 'own.pth')
    clip_conversion.save_open_clip(read_clip(tmp_path / 'own.pth'), tmp_path / 'out')
    assert_same(
        SameNames(retriever), open_clip.create_model(f'local-dir:{tmp_path / "out"}').eval()
    )


def test_parts_of_a_large_model_of_transformers(tmp_path: Path) -> None:
    model = clip_folder(tmp_path)
    model.save_pretrained(tmp_path / 'parts', max_shard_size='100KB')
    assert len(list((tmp_path / 'parts').glob('model-*.safetensors'))) > 1
    assert_same(model, read_clip(tmp_path / 'parts').model)
    options = dict(model_cfg=read_clip(tmp_path).cfg, pretrained=str(tmp_path / 'parts'))
    encoder = OpenCLIPImageEncoder(**options).eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(IMAGE), model.get_image_features(IMAGE))


def test_which_weights_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = clip_folder(tmp_path / 'laion2b_e16')
    (tmp_path / 'laion2b_e16/pytorch_model.bin.index.json').write_text('{}')  # of other parts
    assert_same(model, read_clip(tmp_path / 'laion2b_e16').model)
    monkeypatch.chdir(tmp_path)
    assert is_local('laion2b_e16')
    (tmp_path / 'laion2b_e16/config.json').unlink()
    assert not is_local('laion2b_e16')  # a tag of open_clip
    assert is_local(str(tmp_path / 'laion2b_e16')) and not is_local('laion2b_s34b_b79k')
    (tmp_path / 'laion2b_e16/model.safetensors').unlink()
    with pytest.raises(ValueError, match='bin.index.json is no index'):
        read_clip(tmp_path / 'laion2b_e16')


def test_a_resnet_has_a_config_and_no_class_in_transformers(tmp_path: Path) -> None:
    cfg = dict(
        embed_dim=32,
        vision_cfg=dict(image_size=64, layers=[1, 1, 1, 1], width=8),
        text_cfg=CFG['text_cfg'],
    )
    model = open_clip.CLIP(**cfg).eval()
    torch.save(model.state_dict(), tmp_path / 'RN50.pt')
    found = read_clip(tmp_path / 'RN50.pt')
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(found.model.encode_image(image), model.encode_image(image))
    with pytest.raises(ValueError, match='transformers'):
        clip_conversion.save_transformers(found, tmp_path / 'out')


def test_the_tokenizer_and_the_statistics_come_along(tmp_path: Path) -> None:
    text = dict(CFG['text_cfg'], vocab_size=49408, context_length=20)
    model = open_clip.CLIP(**dict(CFG, text_cfg=text)).eval()
    torch.save(model.state_dict(), tmp_path / 'clip.pt')
    clip_conversion.save_transformers(read_clip(tmp_path / 'clip.pt'), tmp_path / 'out')
    queries = ['Two planes beside the runway', "the river's bend, seen from above"]
    theirs = HuggingFaceTokenizer(str(tmp_path / 'out'), max_length=20)(queries)
    ours = OpenCLIPTokenizer('ViT-B-16', context_length=20)(queries)
    length = int((ours != 0).sum(1).max())
    assert [row[row != 0].tolist() for row in ours] == [
        row[: int((own != 0).sum())].tolist() for row, own in zip(theirs, ours)
    ] and length < 20
    processor = json.loads((tmp_path / 'out/preprocessor_config.json').read_text())
    assert processor['image_mean'] == clip_conversion.CLIP_STATISTICS[0]
    processor['image_mean'] = [0.1, 0.2, 0.3]
    (tmp_path / 'out/preprocessor_config.json').write_text(json.dumps(processor))
    clip_conversion.save_open_clip(read_clip(tmp_path / 'out'), tmp_path / 'open')
    config = json.loads((tmp_path / 'open/open_clip_config.json').read_text())
    assert config['preprocess_cfg']['mean'] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    'make, words',
    [
        (lambda p: torch.save({'conv.weight': torch.ones(2)}, p), 'text.text_projection'),
        (lambda p: p.write_text('# README'), 'no file of torch.save'),
    ],
)
def test_what_is_no_clip(make: Callable[[Path], Any], words: str, tmp_path: Path) -> None:
    make(tmp_path / 'x.pt')
    with pytest.raises(ValueError, match=words) as caught:
        read_clip(tmp_path / 'x.pt')
    assert 'x.pt' in str(caught.value) and '\n' not in str(caught.value)


def test_folders_of_other_models(tmp_path: Path) -> None:
    config = transformers.BertConfig(**SIZES, vocab_size=64)
    transformers.BertModel(config).save_pretrained(tmp_path / 'bert')
    with pytest.raises(ValueError, match=r"bert.*'bert'"):
        read_clip(tmp_path / 'bert')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty'):
        read_clip(tmp_path / 'empty')
