"""How many captions are cut, against tokenizers that were never asked to cut."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import ImageTextDataset, UnpairedDataset
from urbancross_mm.datasets.caption_lengths import remark_on_cut, remark_on_unknown, remark_on_words
from urbancross_mm.datasets.tokenizers import (
    HuggingFaceTokenizer,
    OpenCLIPTokenizer,
    VocabTokenizer,
)
from urbancross_mm.datasets.transforms.text import TokenizeText
from urbancross_mm.datasets.verification.verify import verify

WORDS = ['road', 'red', 'a', 'greenhouse', 'Ä', '!', '🛰', 'x-ray']


@pytest.fixture(scope='module')
def texts() -> list[str]:
    rng = np.random.default_rng(0)
    return [' '.join(rng.choice(WORDS, size)) for size in range(1, 30) for _ in range(4)]


@pytest.fixture
def vocab(tmp_path: Path) -> VocabTokenizer:
    (tmp_path / 'vocab.json').write_text(json.dumps({'road': 1, 'red': 2, '<unk>': 3}))
    return VocabTokenizer(str(tmp_path / 'vocab.json'), max_length=8)


@pytest.fixture(scope='module')
def bert_folder(tmp_path_factory) -> str:
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp('bert')
    (folder / 'vocab.txt').write_text(
        '\n'.join(
            ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'red', 'road', 'green', '##house']
        )
    )
    BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
    return str(folder)


def test_clip_cuts_what_has_more_tokens_than_it_takes(texts: list[str]) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    encode = SimpleTokenizer().encode
    for length in (8, 16, 77):
        tokenizer = OpenCLIPTokenizer(context_length=length)
        # '!' is token 0, as the padding is: a text that loses nothing else counts as whole.
        expected = {
            text: len(encode(text)) + 2 > length and any(encode(text)[length - 2 :])
            for text in texts
        }
        assert {text: tokenizer.is_cut(text) for text in texts} == expected
        assert f'{sum(expected.values())} of {len(expected)} ' in remark_on_cut(
            texts, tokenizer, 'x'
        ) or not any(expected.values())


def test_other_tokenizers_cut_what_has_more_tokens(
    texts: list[str], vocab: VocabTokenizer, bert_folder: str
) -> None:
    from transformers import AutoTokenizer

    whole = AutoTokenizer.from_pretrained(bert_folder)
    for length in (8, 16):
        tokenizer = HuggingFaceTokenizer(bert_folder, max_length=length)
        for text in texts:
            assert tokenizer.is_cut(text) == (len(whole(text)['input_ids']) > length)
    for text in texts:
        words = [word for word in text.split() if word not in ('!', '🛰')]
        assert vocab.is_cut(text) == (len(words) > 8)


@pytest.mark.parametrize('name', ['ViT-B-16-SigLIP', 'roberta-ViT-B-32'])
def test_open_clip_names_with_another_padding(name: str, bert_folder: str, monkeypatch) -> None:
    import open_clip

    class Inner:
        """Pads with the end token, as SigLIP does: 1, or with another one."""

        pad_token_id = 1 if 'SigLIP' in name else 7

        def __len__(self) -> int:
            return 100

    class Fake:
        tokenizer, context_length = Inner(), 6

        def __call__(self, texts: list[str], context_length: int = 6) -> torch.Tensor:
            rows = torch.full((len(texts), context_length), Inner.pad_token_id)
            for row, text in zip(rows, texts):
                ids = [10 + ord(sign) % 10 for sign in text][: context_length - 1]
                row[: len(ids) + 1] = torch.tensor([*ids, 1])
            return rows

    monkeypatch.setattr(open_clip, 'get_tokenizer', lambda *_, **__: Fake())
    tokenizer = OpenCLIPTokenizer(name)
    assert [tokenizer.is_cut('abcdefgh'[:n]) for n in range(9)] == [False] * 6 + [True] * 3


def test_what_becomes_equal_is_counted_once(vocab: VocabTokenizer) -> None:
    start = 'red road ' * 4
    texts = [f'{start} {n}' for n in range(3)] + ['road ' * 9, 'red', 'red', start, 'road ' * 9]
    assert remark_on_cut(texts, vocab, 'captions of x.json').startswith(
        '4 of 6 distinct captions of x.json are longer than the 8 tokens that VocabTokenizer takes '
        'and are cut; 3 of them become equal to another one'
    )
    assert remark_on_cut(['red', start], vocab, 'x') == ''
    assert remark_on_cut(['red'] * 99, lambda texts: None, 'x') == ''  # a tokenizer of others


def test_short_captions_are_not_looked_at(vocab: VocabTokenizer, monkeypatch) -> None:
    monkeypatch.setattr(vocab, 'is_cut', None)
    assert remark_on_cut(['a b c'] * 5, vocab, 'x') == ''


def test_unknown_words_are_named_where_they_are_many(vocab: VocabTokenizer) -> None:
    few = ['red road red road red road pond']
    assert remark_on_unknown(few, vocab, 'x') == ''
    remark = remark_on_unknown([*few, 'pond reed', 'a pond'], vocab, 'captions of x.json')
    assert 'x.json' in remark and remark.startswith('45%') and "'pond', " in remark
    assert remark_on_unknown(['pond'] * 9, lambda texts: None, 'x') == ''  # a tokenizer of others


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    lines: list[str] = []

    def log(message: str, logger: str, level: int = logging.INFO) -> None:
        if level == logging.WARNING:
            lines.append(message)

    monkeypatch.setattr('urbancross_mm.datasets.item_checks.print_log', log)
    return lines


@pytest.mark.parametrize('captions', ['each', 'sample', 'all'])
def test_a_dataset_says_it_once(
    tmp_path: Path, vocab: VocabTokenizer, logged: list[str], captions: str
) -> None:
    long = [f'{"red " * 12} {n}' for n in range(3)]
    made = write(tmp_path, [item('a', [long[0], 'red']), item('b', [*long[1:], 'red'])])
    dataset = ImageTextDataset(**made, captions=captions, pipeline=[TokenizeText(vocab)])
    assert len(logged) == 1 and 'tiny.json' in logged[0]
    assert logged[0].startswith('TokenizeText: 3 of 4 distinct captions of')
    assert '; 3 of them become equal' in logged[0]
    dataset.full_init()
    assert len(logged) == 1
    ImageTextDataset(**made, captions=captions)
    assert len(logged) == 1


def test_the_captions_of_a_target_count_as_well(
    tmp_path: Path, vocab: VocabTokenizer, logged: list[str]
) -> None:
    (tmp_path / 'texts.txt').write_text('red road\n' + 'road ' * 20 + '\n')
    made = write(tmp_path, [item('a', ['red']), item('b', ['red'])])
    UnpairedDataset(**made, text_file='texts.txt', pipeline=[TokenizeText(vocab)])
    assert len(logged) == 1 and '1 of 2 distinct' in logged[0]


def test_verification_counts_words(tmp_path: Path) -> None:
    long = [f'{"red " * 80} {n}' for n in range(2)]
    write(tmp_path, [item('a', [*long, 'red ' * 75]), item('b', ['blue ' * 76])])
    report = verify([str(tmp_path / 'annotations/tiny.json')], str(tmp_path))
    (result,) = (finding for finding in report.findings if finding.what == 'captions that are cut')
    assert result.level == 'warning' and '3 of 4 distinct captions' in result.examples[0]
    assert '; 2 of them become equal' in result.examples[0]
    assert remark_on_words(['red ' * 75]) == ''


def test_a_text_that_just_fits_may_be_what_is_left_of_another(vocab: VocabTokenizer) -> None:
    fits = ' '.join(['road'] * vocab.context_length)
    texts = [fits, f'{fits} red', 'red ' * (vocab.context_length + 1)]
    remark = remark_on_cut(texts, vocab, 'x')
    assert remark.startswith('2 of 3 ') and '; 1 of them become equal' in remark
    words = ' '.join(f'w{number}' for number in range(75))
    assert '; 1 of them become equal' in remark_on_words([words, f'{words} more'])
