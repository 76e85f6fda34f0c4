"""Tokenizers: rows, padding, cutting, pickling, and what happens without a network."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from urbancross_mm.datasets.tokenizers import (
    HuggingFaceTokenizer,
    OpenCLIPTokenizer,
    VocabTokenizer,
)
from urbancross_mm.registry import TOKENIZERS

WORDS = {'road': 1, 'red': 2, "it's": 3, '<unk>': 4}


@pytest.fixture
def vocab_file(tmp_path):
    path = tmp_path / 'vocab.json'
    path.write_text(
        json.dumps(dict(word2idx=WORDS, idx2word={str(v): k for k, v in WORDS.items()}, idx=5))
    )
    return str(path)


@pytest.fixture(scope='module')
def bert_folder(tmp_path_factory):
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp('bert')
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'red', 'road']
    (folder / 'vocab.txt').write_text('\n'.join(words))
    BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
    return str(folder)


def test_open_clip_equals_open_clip():
    import open_clip

    texts = ['a red roof', 'road ' * 100, '']
    tokenizer = TOKENIZERS.build(dict(type='OpenCLIPTokenizer', model_name='ViT-B-16'))
    assert (tokenizer.context_length, tokenizer.vocab_size, tokenizer.pad_id) == (77, 49408, 0)
    wanted = open_clip.get_tokenizer('ViT-B-16')(texts)
    for _ in range(2):  # the second time from memory
        assert tokenizer(texts).equal(wanted)
    assert tokenizer(texts).dtype == torch.long
    assert OpenCLIPTokenizer(context_length=16)(texts).shape == (3, 16)


def test_open_clip_without_model_or_network(monkeypatch):
    with pytest.raises(ValueError, match="'ViT-Z-99'"):
        OpenCLIPTokenizer('ViT-Z-99')

    def offline(*_, **__):
        raise OSError("We couldn't connect\nand more lines")

    monkeypatch.setattr('open_clip.get_tokenizer', offline)
    with pytest.raises(OSError, match="'ViT-B-16-SigLIP' .*couldn't"):
        OpenCLIPTokenizer('ViT-B-16-SigLIP')


def test_vocabulary(vocab_file):
    tokenizer = TOKENIZERS.build(dict(type='VocabTokenizer', vocab_file=vocab_file, max_length=4))
    assert (tokenizer.context_length, tokenizer.vocab_size, tokenizer.pad_id) == (4, 5, 0)
    rows = tokenizer(['A RED road.', 'road, road; road road red', ' !? ', "It's"]).tolist()
    assert rows == [[4, 2, 1, 0], [1, 1, 1, 1], [4, 0, 0, 0], [3, 0, 0, 0]]
    assert tokenizer([]).shape == (0, 4)
    assert tokenizer('road').tolist() == [[1, 0, 0, 0]]


def test_vocabulary_alone(tmp_path):
    (tmp_path / 'v.json').write_text(json.dumps(WORDS))
    assert VocabTokenizer(str(tmp_path / 'v.json'), 2)(['red x']).tolist() == [[2, 4]]


@pytest.mark.parametrize(
    'content, message',
    [
        ('{', 'is not valid JSON'),
        ('[]', 'must map words to ids'),
        ('{"word2idx": {"a": 0, "<unk>": 1}}', 'must map words to ids from 1 on'),
        ('{"word2idx": {"a": "b"}}', 'must map words to ids'),
        ('{"a": 1}', ".*'<unk>'"),
    ],
)
def test_bad_vocabularies(tmp_path, content, message):
    (tmp_path / 'v.json').write_text(content)
    with pytest.raises(ValueError, match=f'v.json {message}'):
        VocabTokenizer(str(tmp_path / 'v.json'))
    with pytest.raises(FileNotFoundError, match=r'none\.json.*tools/dataset_converters'):
        VocabTokenizer(str(tmp_path / 'none.json'))


def test_hugging_face_folder(bert_folder):
    tokenizer = HuggingFaceTokenizer(bert_folder, max_length=5)
    assert (tokenizer.context_length, tokenizer.vocab_size, tokenizer.pad_id) == (5, 8, 0)
    assert tokenizer(['red road', 'a a a a a']).tolist() == [[2, 6, 7, 3, 0], [2, 5, 5, 5, 3]]


@pytest.mark.parametrize('content', [None, '{"torn'])
def test_hugging_face_files_missing_or_damaged(bert_folder, tmp_path, content):
    """A model is there, its tokenizer is not: one message, whatever transformers raises."""
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path)
    if content:
        (tmp_path / 'tokenizer.json').write_text(content)
        (tmp_path / 'tokenizer_config.json').write_text('{"tokenizer_class": "BertTokenizerFast"}')
    with pytest.raises(OSError) as caught:
        HuggingFaceTokenizer(str(tmp_path))
    message = str(caught.value)
    assert str(tmp_path) in message and 'tokenizer files: ' in message and '\n' not in message


def test_hugging_face_cuts_to_what_the_model_reads(bert_folder, tmp_path):
    from transformers import BertTokenizerFast

    BertTokenizerFast.from_pretrained(bert_folder, model_max_length=4).save_pretrained(tmp_path)
    tokenizer = HuggingFaceTokenizer(str(tmp_path), max_length=6)
    assert tokenizer(['a a a a a']).tolist() == [[2, 5, 5, 3, 0, 0]]


def test_hugging_face_without_padding_and_end_token(tmp_path):
    """Rows are padded with an id of their own, so that no text looks shorter than it is."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(WordLevel({'road': 0, 'red': 1, '<unk>': 2}, unk_token='<unk>'))
    inner.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token='<unk>').save_pretrained(tmp_path)
    tokenizer = HuggingFaceTokenizer(str(tmp_path), max_length=4)
    assert tokenizer(['red road']).tolist() == [[1, 0, 3, 3]]
    assert (tokenizer.pad_id, tokenizer.vocab_size) == (3, 4)


def test_hugging_face_without_folder_or_network(tmp_path, monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(OSError, match='name.*none'):
        HuggingFaceTokenizer(str(tmp_path / 'none'))
    with pytest.raises(OSError, match=f'folder.*{tmp_path}'):
        HuggingFaceTokenizer(str(tmp_path))


def test_pickles_without_its_memory(vocab_file, bert_folder):
    for tokenizer in (
        OpenCLIPTokenizer(),
        VocabTokenizer(vocab_file),
        HuggingFaceTokenizer(bert_folder),
    ):
        rows = tokenizer(['red road'])
        copy = pickle.loads(pickle.dumps(tokenizer))
        assert not copy._cache and tokenizer._cache
        assert copy(['red road']).equal(rows)


def test_memory_is_bounded_and_rows_are_not_shared(vocab_file, monkeypatch):
    monkeypatch.setattr('urbancross_mm.datasets.tokenizers.CACHE_SIZE', 2)
    tokenizer = VocabTokenizer(vocab_file)
    for k in range(5):
        tokenizer([f'road {k}'])[:] = 9
    assert len(tokenizer._cache) == 2
    assert tokenizer(['road 0'])[0, :3].tolist() == [1, 4, 0]


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"a": 1, "<unk>": 2, "a": 3}', "key 'a' stands twice"),
        ('[' * 99_999, 'nested too deep'),
        ('{"a": true, "<unk>": 2}', 'must map words to ids'),
        ('', 'it is empty'),
    ],
)
def test_a_broken_vocabulary_is_named(tmp_path, text, message):
    (tmp_path / 'vocab.json').write_text(text)
    with pytest.raises(ValueError, match=rf'vocab\.json.*{message}'):
        VocabTokenizer(str(tmp_path / 'vocab.json'))


def test_a_vocabulary_of_a_windows_editor(tmp_path):
    (tmp_path / 'vocab.json').write_bytes(b'\xef\xbb\xbf{"a": 1, "<unk>": 2}')
    assert VocabTokenizer(str(tmp_path / 'vocab.json')).word2idx == {'a': 1, '<unk>': 2}


def test_unknown_words(vocab_file):
    assert VocabTokenizer(vocab_file).unknown_words("A red pond; it's a pond") == ['a', 'pond']
    assert OpenCLIPTokenizer().unknown_words('a zzyzx') == []
