"""Scoring by retrievers: a small open_clip model with weights on disk, and others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from urbancross_mm.curation import BaseScorer, RetrieverScorer
from urbancross_mm.curation.captions.scorers import split_parts
from urbancross_mm.models.retrievers.base import BaseRetriever
from urbancross_mm.registry import CURATION, MODELS, SCOPE

CLIP = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, patch_size=16, width=32, layers=1, head_width=16),
    text_cfg=dict(context_length=16, vocab_size=49408, width=16, heads=2, layers=1),
)
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='ResizeImage', scale=32, interpolation='bicubic'),
    dict(type='TokenizeText', tokenizer=dict(type='OpenCLIPTokenizer', context_length=16)),
    dict(type='PackRetrievalInputs'),
]
GRU = dict(type='GRUTextEncoder', vocab_size=49408, embed_dim=16, word_dim=8, hidden_dim=8)


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An open_clip model as a file."""
    import open_clip

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('clip') / 'clip.pt'
    torch.save(open_clip.CustomTextCLIP(**CLIP).state_dict(), path)
    return str(path)


def clip_model(weights: str | None) -> dict:
    tower = dict(model_name=None, model_cfg=CLIP, pretrained=weights)
    return dict(
        type='CrossModalRetriever',
        data_preprocessor=dict(type='RetrievalDataPreprocessor'),
        image_encoder=dict(type='OpenCLIPImageEncoder', **tower),
        text_encoder=dict(type='OpenCLIPTextEncoder', **tower),
    )


def scorer(model: dict, begin: bool = True, **options) -> RetrieverScorer:
    made = CURATION.build(
        {**dict(type='RetrieverScorer', model=model, pipeline=PIPELINE), **options}
    )
    made.check()
    if begin:
        made.begin('cpu')
    return made


def images(number: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8) for i in range(number)]


def test_images_are_encoded_as_open_clip_does(weights: str) -> None:
    import open_clip
    from torchvision.transforms import v2 as transforms

    model = open_clip.CustomTextCLIP(**CLIP).eval()
    model.load_state_dict(torch.load(weights))
    prepare = transforms.Compose(
        [
            transforms.ToImage(),
            transforms.Resize((32, 32), transforms.InterpolationMode.BICUBIC),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize(open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
        ]
    )
    result = scorer(clip_model(weights), batch_size=2).encode_images(images(5))
    with torch.no_grad():
        wanted = torch.cat(
            [model.encode_image(prepare(image)[None], normalize=True) for image in images(5)]
        )
    assert result.dtype == np.float32 and result.shape == (5, 16)
    # Two libraries resize, each with roundings of its own.
    assert (result * wanted.numpy()).sum(axis=1).min() > 0.999


def test_a_text_is_the_mean_of_its_parts(weights: str) -> None:
    import open_clip

    model = open_clip.CustomTextCLIP(**CLIP).eval()
    model.load_state_dict(torch.load(weights))
    tokenizer = open_clip.get_tokenizer('ViT-B-16', context_length=16)
    text = 'a red roof; many cars, trees. '
    with torch.no_grad():
        raw = model.encode_text(tokenizer(['a red roof', 'many cars', 'trees']))
        whole = model.encode_text(tokenizer([text]))
    wanted = dict(raw=raw.mean(0), unit=torch.nn.functional.normalize(raw, dim=1).mean(0))
    for parts, vector in (*wanted.items(), (None, whole[0])):
        result = scorer(clip_model(weights), parts=parts).encode_texts([text])
        np.testing.assert_allclose(result[0], (vector / vector.norm()).numpy(), atol=1e-6)
    assert not np.allclose(
        wanted['raw'] / wanted['raw'].norm(), wanted['unit'] / wanted['unit'].norm(), atol=1e-4
    )


def test_parts() -> None:
    assert split_parts(' a; b,, c. ') == ['a', 'b', 'c']
    assert split_parts('a|b;c') == ['a|b', 'c']
    assert split_parts(';.') == [';.'] and split_parts('') == ['']


def test_a_part_that_is_too_long_is_cut_and_has_a_score(weights: str) -> None:
    long = 'roof ' * 40
    cut, same, other = scorer(clip_model(weights)).encode_texts([long, long + 'tree', 'roof'])
    assert np.array_equal(cut, same) and not np.allclose(cut, other)
    for text in ('', ';;;'):
        assert np.isclose(np.linalg.norm(scorer(clip_model(weights)).encode_texts([text])), 1)


def test_a_text_has_one_vector_in_any_batch(weights: str) -> None:
    made = scorer(clip_model(weights))
    texts = [f'a roof {i}, ' * (i + 1) for i in range(7)]
    together = made.encode_texts(texts)
    assert all(
        np.array_equal(row, made.encode_texts([text])[0]) for row, text in zip(together, texts)
    )
    assert made.encode_texts([]).shape[0] == 0 == made.encode_images([]).shape[0]


def test_a_checkpoint_fills_any_retriever(weights: str, tmp_path: Path) -> None:
    cfg = dict(clip_model(None), text_encoder=GRU)
    torch.manual_seed(3)
    model = MODELS.build(dict(cfg, _scope_=SCOPE)).eval()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    made = scorer(cfg, checkpoint=str(tmp_path / 'a.pth'), parts='unit')
    tokens = made._embedder.tokenizer(['a roof'])
    with torch.no_grad():
        wanted = model.encode_text(tokens).numpy()
    np.testing.assert_allclose(made.encode_texts(['a roof']), wanted, atol=1e-6)
    with pytest.raises(ValueError, match=r'a\.pth'):
        scorer(clip_model(None), checkpoint=str(tmp_path / 'a.pth'))


def test_weights_from_nowhere_are_the_same_each_time() -> None:
    cfg = dict(clip_model(None), text_encoder=GRU)
    state = torch.get_rng_state()
    one = scorer(cfg).encode_images(images(1))
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(9)
    assert np.array_equal(one, scorer(cfg).encode_images(images(1)))


@MODELS.register_module()
class TowerlessRetriever(BaseRetriever):
    """Encodes texts without a ``text_encoder``."""

    loss = encode_image = None

    def encode_text(self, text: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(text[:, 1] % 7, 7).float()


def test_raw_features_need_a_text_tower() -> None:
    model = dict(
        type='TowerlessRetriever', data_preprocessor=dict(type='RetrievalDataPreprocessor')
    )
    with pytest.raises(ValueError, match="TowerlessRetriever .*parts='unit'"):
        scorer(model)
    assert scorer(model, parts='unit').encode_texts(['a roof']).shape == (1, 7)


def test_the_settings_name_model_and_weights_by_content(weights: str, tmp_path: Path) -> None:
    duplicate, other, start = tmp_path / 'duplicate.pt', tmp_path / 'other.pt', tmp_path / 'a.pth'
    duplicate.write_bytes(Path(weights).read_bytes())
    other.write_bytes(b'other')
    start.write_bytes(b'start')

    def settings(path: str = weights, **options) -> dict:
        return scorer(clip_model(path), begin=False, **options).settings()

    assert settings() == settings(str(duplicate)) == settings(batch_size=1)
    assert str(Path(weights).parent) not in str(settings())
    changes = [
        settings(str(other)),
        settings(checkpoint=str(start)),
        settings(parts='unit'),
        settings(parts=None),
        settings(pipeline=PIPELINE[2:]),
    ]
    assert len({str(change) for change in [settings(), *changes]}) == 6


@pytest.mark.parametrize(
    'options, error, named',
    [
        (dict(parts='mean'), ValueError, "parts .* 'mean'"),
        (dict(batch_size=0), ValueError, 'batch_size .* 0'),
        (dict(pipeline=PIPELINE[:2]), ValueError, r"TokenizeText.*\['LoadImage', 'ResizeI"),
        (dict(pipeline=[dict(type='LoadSegments'), *PIPELINE]), ValueError, 'LoadSegments'),
        (dict(pipeline=[dict(type='Blur'), *PIPELINE]), ValueError, 'Blur'),
        (dict(checkpoint='none/a.pth'), FileNotFoundError, "RetrieverScorer .*'none/a.pth'"),
        (dict(model=clip_model('none/clip.pt')), FileNotFoundError, "'none/clip.pt'"),
        (dict(model=dict(type='NoRetriever')), ValueError, "'NoRetriever'"),
    ],
)
def test_mistakes_are_named_before_anything_runs(options: dict, error: type, named: str) -> None:
    with pytest.raises(error, match=named):
        scorer(**{**dict(model=clip_model(None), begin=False), **options})


def test_the_interface_is_the_one_that_others_build_on() -> None:
    assert issubclass(RetrieverScorer, BaseScorer)
