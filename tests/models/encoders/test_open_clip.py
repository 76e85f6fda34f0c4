"""The towers give what open_clip's own model gives, whatever file they come from."""

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.models.helpers import TINY_CLIP
from urbancross_mm.models import OpenCLIPImageEncoder, OpenCLIPTextEncoder

CLASSES = {'plain': open_clip.CLIP, 'custom_text': open_clip.CustomTextCLIP}


def save(model: torch.nn.Module, path: Path) -> str:
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if path.suffix == '.safetensors':
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize('layout', list(CLASSES))
@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_towers_equal_open_clip(layout: str, suffix: str, tmp_path: Path) -> None:
    model = CLASSES[layout](**TINY_CLIP).eval()
    path = save(model, tmp_path / f'clip{suffix}')
    image, text = torch.randn(2, 3, 32, 32), torch.randint(1, 64, (3, 8))
    image_encoder = OpenCLIPImageEncoder(pretrained=path, model_cfg=TINY_CLIP).eval()
    text_encoder = OpenCLIPTextEncoder(pretrained=path, model_cfg=TINY_CLIP).eval()
    with torch.no_grad():
        torch.testing.assert_close(image_encoder(image), model.encode_image(image))
        torch.testing.assert_close(text_encoder(text), model.encode_text(text))
        # The projection is part of the tower: its output is all there is before ours.
        assert torch.equal(image_encoder.pooled(image), image_encoder(image))
    assert image_encoder.embed_dim == text_encoder.embed_dim == 16


def test_named_model_from_a_file(tmp_path: Path) -> None:
    """The way a real config goes, with the smallest model that has a name."""
    name = 'ViT-S-32-alt'
    model = open_clip.create_model(name).eval()
    path = save(model, tmp_path / 'clip.pt')
    image = torch.randn(1, 3, 224, 224)
    encoder = OpenCLIPImageEncoder(name, pretrained=path).eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(image), model.encode_image(image))
    assert encoder.embed_dim == 256


def test_other_sizes_resize_the_position_embeddings(tmp_path: Path) -> None:
    path = save(open_clip.CustomTextCLIP(**TINY_CLIP), tmp_path / 'clip.pt')
    image_encoder = OpenCLIPImageEncoder(pretrained=path, model_cfg=TINY_CLIP, image_size=48)
    text_encoder = OpenCLIPTextEncoder(pretrained=path, model_cfg=TINY_CLIP, context_length=5)
    assert image_encoder(torch.randn(2, 3, 48, 48)).shape == (2, 16)
    assert text_encoder(torch.randint(1, 64, (2, 5))).shape == (2, 16)


def test_the_config_is_not_written_to() -> None:
    before = repr(TINY_CLIP)
    OpenCLIPImageEncoder(model_cfg=TINY_CLIP, image_size=48, force_quick_gelu=True)
    assert repr(TINY_CLIP) == before


def test_frozen_and_checkpointing() -> None:
    encoder = OpenCLIPTextEncoder(model_cfg=TINY_CLIP, frozen=True).train()
    assert encoder.training and not encoder.tower.training
    assert not any(p.requires_grad for p in encoder.parameters())
    image = torch.randn(2, 3, 32, 32)
    torch.manual_seed(0)
    plain = OpenCLIPImageEncoder(model_cfg=TINY_CLIP)
    torch.manual_seed(0)
    checkpointed = OpenCLIPImageEncoder(model_cfg=TINY_CLIP, grad_checkpointing=True)
    for encoder in (plain, checkpointed):
        encoder.train()(image).sum().backward()
    for first, second in zip(plain.parameters(), checkpointed.parameters()):
        torch.testing.assert_close(first.grad, second.grad)


@pytest.mark.parametrize(
    'kwargs, error, words',
    [
        (dict(model_name='ViT-B-61'), ValueError, 'ViT-B-16'),
        (dict(model_name=None), ValueError, 'neither'),
        (dict(pretrained='laion9b'), ValueError, 'laion2b_s34b_b88k'),
        (dict(pretrained='weights/none.pt'), FileNotFoundError, 'weights/none.pt'),
        (dict(pretrained='tag', model_cfg=TINY_CLIP), ValueError, 'no file'),
    ],
)
def test_wrong_names(kwargs: dict, error: type, words: str) -> None:
    with pytest.raises(error) as caught:
        OpenCLIPImageEncoder(**kwargs)
    assert words in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('failure', [OSError('Connection refused'), RuntimeError('429\nretry')])
def test_a_tag_without_network(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr(open_clip, 'download_pretrained', fail)
    with pytest.raises(FileNotFoundError) as caught:
        OpenCLIPTextEncoder('ViT-B-16', pretrained='laion2b_s34b_b88k')
    message = str(caught.value)
    assert '\n' not in message
    assert all(word in message for word in ('laion2b_s34b_b88k', 'local', '--sample'))


@pytest.mark.parametrize('content', ['other', 'empty', 'torn'])
@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_weights_of_another_model(content: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f'weights{suffix}'
    if content == 'torn':
        path.write_bytes(b'not a zip archive')
    else:
        state = {'conv.weight': torch.zeros(2)} if content == 'other' else {}
        (torch.save if suffix == '.pt' else save_file)(state, path)
    with pytest.raises(ValueError, match='model_cfg') as caught:
        OpenCLIPImageEncoder(pretrained=str(path), model_cfg=TINY_CLIP)
    assert '\n' not in str(caught.value)
