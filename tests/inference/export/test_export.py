"""A folder with graphs is enough to embed as the model does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inference.export.towers import IMAGE, TEXT, TOKENIZER, embedder_of
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.export import export_model

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

QUERIES = ['Two planes stand beside the runway', "the river's bend"]


@pytest.fixture(scope='module')
def embedder() -> Embedder:
    return embedder_of(IMAGE['resnet'], TEXT['clip'])


@pytest.fixture(scope='module')
def folder(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('exported')
    export_model(embedder, folder)
    return folder


@pytest.fixture(scope='module')
def about(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'model.json').read_text())


def run(folder: Path, modality: str, rows: np.ndarray) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(folder / f'{modality}.onnx'))
    return torch.from_numpy(session.run(None, {modality: rows})[0])


def test_another_program_embeds_images(
    folder: Path, about: dict[str, Any], embedder: Embedder, tmp_path: Path
) -> None:
    """With NumPy, PIL and ONNX Runtime alone, in batches of one and of several."""
    image = about['image']
    paths = []
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (*image['size'], 3), np.uint8)
        paths.append(tmp_path / f'{number}.png')
        Image.fromarray(pixels).save(paths[-1])
    rows = [np.asarray(Image.open(path), np.float32) / 255 for path in paths]
    mean, std = np.float32(image['mean']), np.float32(image['std'])
    rows = np.stack([((row - mean) / std).transpose(2, 0, 1) for row in rows])
    expected = embedder.encode_images(paths)
    torch.testing.assert_close(run(folder, 'image', rows), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(run(folder, 'image', rows[:1]), expected[:1], rtol=0, atol=1e-5)


def test_another_program_embeds_texts(
    folder: Path, about: dict[str, Any], embedder: Embedder
) -> None:
    from transformers import AutoTokenizer

    text = about['text']
    length, pad = text['context_length'], text['pad_id']
    tokenizer = AutoTokenizer.from_pretrained(folder / text['tokenizer_folder'])
    rows = [tokenizer(q, truncation=True, max_length=length).input_ids for q in QUERIES]
    padded = np.array([row + [pad] * (length - len(row)) for row in rows])
    expected = embedder.encode_texts(QUERIES)
    torch.testing.assert_close(run(folder, 'text', padded), expected, rtol=0, atol=1e-5)
    example = tokenizer(text['example']['text']).input_ids
    assert text['example']['tokens'][: len(example)] == example


def test_the_graphs_of_torch_need_no_other_package(
    folder: Path, about: dict[str, Any], embedder: Embedder
) -> None:
    tokens = embedder.tokenizer(QUERIES)
    program = torch.export.load(folder / about['text']['files']['torch'])
    with torch.no_grad():
        torch.testing.assert_close(
            program.module()(tokens), embedder.encode_texts(QUERIES), rtol=0, atol=1e-5
        )


def test_what_the_description_says(about: dict[str, Any], embedder: Embedder) -> None:
    assert about['fingerprint'] == embedder.fingerprint
    assert about['embed_dim'] == embedder.model.embed_dim
    assert about['image']['size'] == [32, 32]
    assert about['image']['batch'] is about['text']['batch'] is None
    assert all(far < 1e-5 for far in about['image']['largest_difference'].values())


def test_a_model_that_a_graph_cannot_hold(tmp_path: Path, embedder: Embedder) -> None:
    fused = embedder_of(IMAGE['clip'], TEXT['cnn'], type='UrbanCross', eval_fusion=0.5)
    with pytest.raises(ValueError, match=r'eval_fusion=0\.5'):
        export_model(fused, tmp_path)
    embedder.model.score_pairs = lambda *_: None
    try:
        with pytest.raises(ValueError, match='CrossModalRetriever'):
            export_model(embedder, tmp_path)
    finally:
        embedder.model.score_pairs = None


def test_images_of_several_sizes(tmp_path: Path) -> None:
    changing = embedder_of(IMAGE['resnet'], TEXT['cnn'], resize=[])
    with pytest.raises(ValueError, match='several sizes.*ResizeImage'):
        export_model(changing, tmp_path)


def test_words_by_a_vocabulary(tmp_path: Path) -> None:
    (tmp_path / 'vocab.json').write_text(json.dumps({'tree': 1, 'two': 2, '<unk>': 3}))
    tokenizer = dict(type='VocabTokenizer', vocab_file=str(tmp_path / 'vocab.json'), max_length=6)
    text = dict(TEXT['gru'], tokenizer=tokenizer, vocab_size=None)
    embedder = embedder_of(IMAGE['resnet'], text, tokenizer=tokenizer)
    about = export_model(embedder, tmp_path / 'out', ['torch'], ['text'])
    assert 'image' not in about and not (tmp_path / 'out/text.onnx').exists()
    words = json.loads((tmp_path / 'out/tokenizer/vocabulary.json').read_text())
    assert words == {'tree': 1, 'two': 2, '<unk>': 3}
    assert tokenizer != TOKENIZER


def test_a_tokenizer_of_sentences_gives_one_row_per_text(tmp_path: Path) -> None:
    """A graph takes rows of one sentence, and the tokenizer in the folder writes them."""
    sentences = dict(type='SentenceTokenizer', tokenizer=TOKENIZER)
    embedder = embedder_of(IMAGE['resnet'], TEXT['clip'], tokenizer=sentences)
    content = export_model(embedder, tmp_path, ['torch'], ['text'])['text']
    assert content['tokenizer'] == 'OpenCLIPTokenizer' and content['batch'] is None
    rows = embedder.tokenizer.inner(QUERIES)
    with torch.no_grad():
        got = torch.export.load(tmp_path / 'text.pt2').module()(rows)
    torch.testing.assert_close(got, embedder.encode_texts(QUERIES), rtol=0, atol=1e-5)
