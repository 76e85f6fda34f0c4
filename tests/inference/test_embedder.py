"""One place builds, loads and encodes, so every client gets the same vectors."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests.runs import CONFIGS, ROOT, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.curation import RetrieverScorer
from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.inference.domain_embeds import embed_test_set
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.feature_extraction import extract_features
from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.config import test_pipeline_of as pipeline_of
from urbancross_mm.utils.images import read_image

CONFIG = CONFIGS / 'urbancross_finland.py'
# What a model is called with where something is encoded.
STEPS = {'test_step', 'data_preprocessor', 'encode_image', 'encode_text'}
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    reset_mmengine_state()
    return load_config(CONFIG, sample=True)


@pytest.fixture
def embedder(cfg: Config) -> Embedder:
    return Embedder.from_config(cfg, device='cpu', batch_size=4)


def image_paths(number: int) -> list[str]:
    return sorted(map(str, IMAGES.glob('*.jpg')))[:number]


@pytest.fixture
def checkpoint(embedder: Embedder, tmp_path: Path) -> Path:
    """Weights other than those that the config builds."""
    weights = {
        name: value + 0.01 if value.is_floating_point() else value
        for name, value in embedder.model.state_dict().items()
    }
    torch.save(dict(state_dict=weights), tmp_path / 'epoch_1.pth')
    return tmp_path / 'epoch_1.pth'


def test_all_clients_give_one_vector(cfg: Config, checkpoint: Path, tmp_path: Path) -> None:
    # One item per batch: what shares a batch may change the last bit.
    embedder = Embedder.from_config(cfg, checkpoint, device='cpu', batch_size=1)
    cfg.test_dataloader.dataset.indices = 4
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    paths = [info['img_path'] for info in infos]
    texts = [text for info in infos for text in info['texts']]
    images, captions = embedder.encode_images(paths), embedder.encode_texts(texts)
    assert len(images) == len(paths) > 2 and len(captions) == len(texts)

    inferencer = RetrievalInferencer(cfg, checkpoint, device='cpu', batch_size=1)
    assert inferencer.fingerprint == embedder.fingerprint
    gallery = inferencer.build_index(paths, progress=False)
    assert torch.equal(gallery.embeds, images)
    assert torch.equal(inferencer.encode_texts(texts), captions)

    scorer = RetrieverScorer(
        cfg.model.to_dict(), pipeline_of(cfg), str(checkpoint), parts=None, batch_size=1
    )
    scorer.begin('cpu')
    pixels = [read_image(path)[0] for path in paths]
    for rows, expected in (
        (scorer.encode_images(pixels), images),
        (scorer.encode_texts(texts), captions),
    ):
        assert np.array_equal(rows, torch.nn.functional.normalize(expected, dim=1).numpy())

    domain = embed_test_set(embedder, cfg)
    by_image = [embedder.encode_texts(info['texts'], batch_size=99) for info in infos]
    for rows, expected in (
        (domain.image_embeds, images),
        (domain.text_embeds, torch.cat(by_image)),
    ):
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))

    out = tmp_path / 'features.npz'
    extract_features(cfg, out, checkpoint, 'cpu')
    features = open_features(str(out))
    for info, image, own in zip(infos, images, by_image):
        for encoder, rows, expected in (
            (embedder.model.image_encoder, features.image(info['img_id'])[None], image[None]),
            (embedder.model.text_encoder, features.texts(info['texts']), own),
        ):
            with torch.no_grad():
                projected = encoder.projection(torch.from_numpy(rows))
            unit = torch.nn.functional.normalize(projected, dim=1)
            torch.testing.assert_close(unit, expected, rtol=1e-4, atol=1e-5)


def test_arrays_and_paths_are_one_image(embedder: Embedder) -> None:
    paths = image_paths(6)
    pixels = [read_image(path)[0] for path in paths]
    assert torch.equal(embedder.encode_images(paths), embedder.encode_images(pixels))
    mixed = [paths[0], pixels[1], Path(paths[2])]
    assert torch.equal(embedder.encode_images(mixed), embedder.encode_images(paths[:3]))
    encoded = embedder.encode_files(paths, progress=False)
    assert encoded.positions == list(range(6)) and len(encoded.stamps) == 6
    assert torch.equal(encoded.embeds, embedder.encode_images(paths))


def test_rows_keep_the_order_of_the_texts(embedder: Embedder) -> None:
    texts = ['a river with two bridges ' * (9 - i) + str(i) for i in range(9)]
    rows = embedder.encode_texts(texts)
    single = torch.cat([embedder.encode_texts([text]) for text in texts])
    torch.testing.assert_close(rows, single, rtol=1e-4, atol=1e-5)


def test_nothing_to_encode(embedder: Embedder) -> None:
    assert len(embedder.encode_texts([])) == len(embedder.encode_images([])) == 0
    assert embedder.encode_files([]).positions == []


def test_a_tower_is_used_instead_of_the_model(embedder: Embedder) -> None:
    model = embedder.model
    feats = embedder.encode_images(image_paths(3), model.image_encoder.pooled)
    assert feats.shape == (3, 64)
    assert torch.equal(
        embedder.encode_files(image_paths(3), model.image_encoder.pooled, progress=False).embeds,
        feats,
    )
    unit = torch.nn.functional.normalize(embedder.encode_texts(['a road'], model.text_encoder))
    torch.testing.assert_close(unit, embedder.encode_texts(['a road']))


def test_random_weights_are_the_same_each_time(cfg: Config) -> None:
    state = torch.get_rng_state()
    first = Embedder.from_config(cfg, device='cpu').fingerprint
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(9)
    assert Embedder.from_config(cfg, device='cpu').fingerprint == first


def test_a_work_directory_stands_for_its_checkpoint(cfg: Config, checkpoint: Path) -> None:
    embedder = Embedder.from_config(cfg, checkpoint.parent, device='cpu')
    assert embedder.checkpoint == str(checkpoint)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Embedder.from_config(cfg, checkpoint.parent / 'nowhere', device='cpu')


def test_the_scope_is_left_as_it_was(cfg: Config) -> None:
    reset_mmengine_state()
    Embedder(cfg.model.to_dict(), pipeline_of(cfg), device='cpu')
    scope = DefaultScope.get_current_instance()
    assert scope is None or scope.scope_name != 'urbancross_mm'


def test_a_pipeline_without_a_tokenizer_is_refused(cfg: Config) -> None:
    steps = [step for step in pipeline_of(cfg) if step['type'] != 'TokenizeText']
    with pytest.raises(ValueError, match='TokenizeText'):
        Embedder(cfg.model.to_dict(), steps, device='cpu')


@pytest.mark.parametrize('layer', ['inference', 'toy', 'apis', 'curation', 'experiments'])
def test_nobody_else_builds_a_retriever_or_encodes(layer: str) -> None:
    for path in (ROOT / 'urbancross_mm' / layer).rglob('*.py'):
        if path.name == 'embedder.py':
            continue
        calls = [
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        ]
        # Its helper builds and loads; nobody else calls that.
        assert path.name == 'checkpoints.py' or 'MODELS.build' not in calls, path
        names = {call.rpartition('.')[2] for call in calls}
        assert not names & {*STEPS, 'build_model'}, path


def test_other_views_of_a_test_are_not_encoded(cfg: Config, embedder: Embedder) -> None:
    cfg.model.data_preprocessor.image_view = dict(seed=1)
    viewing = Embedder.from_config(cfg, device='cpu', batch_size=4)
    assert viewing.model.data_preprocessor.image_views is None
    assert viewing.fingerprint == embedder.fingerprint
