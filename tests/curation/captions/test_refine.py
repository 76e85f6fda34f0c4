"""Cleaning captions."""

import pytest

from urbancross_mm.curation.captions.refine import (
    clean_space,
    drop_repeats,
    find_refusal,
    fit,
    refine_caption,
    refine_captions,
    split_sentences,
)


def by_word(text: str) -> int:
    """Words, a begin and an end token."""
    return len(text.split()) + 2


def by_letter(text: str) -> int:
    return len(text) + 2


@pytest.mark.parametrize(
    'text, clean',
    [
        ('  a \t red\n\nroof ', 'a red roof'),
        ('\ufeffa\u200b\u00a0b\x00\x07c', 'a b c'),
        ('نص‌عربی é 学校', 'نص‌عربی é 学校'),
        (' \n', ''),
    ],
)
def test_white_space(text: str, clean: str) -> None:
    assert clean_space(text) == clean


@pytest.mark.parametrize(
    'text, sentences',
    [
        ('It is red. Is it? Yes!', ['It is red.', 'Is it?', 'Yes!']),
        ('St. Mary is 2.5 m high, see fig. 3. End', ['St. Mary is 2.5 m high, see fig. 3.', 'End']),
        ('J. Smith Road is 5 m. It ends', ['J. Smith Road is 5 m.', 'It ends']),
        ('1. Roads\n2. Houses', ['1. Roads', '2. Houses']),
        ('He says "Look." Then', ['He says "Look."', 'Then']),
        ('这是学校！！那里有路。完', ['这是学校！！', '那里有路。', '完']),
        ('यह स्कूल है। वहाँ सड़क है।', ['यह स्कूल है।', 'वहाँ सड़क है।']),
        ('one line\n\nanother', ['one line', 'another']),
        ('...', ['...']),
        ('', []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    'sentence',
    [
        "I'm sorry, I cannot see the image.",
        'I’m sorry.',
        'I am very sorry, but no.',
        'Unfortunately, I am unable to see it.',
        "Unfortunately, I can't.",
        'I cannot describe it.',
        'As an AI language model, I see nothing.',
        'Well, as a language model I do not.',
        'Sorry, no.',
        '"I apologize for that."',
        'Please provide the image.',
        'There is no image attached to the message.',
    ],
)
def test_refusals(sentence: str) -> None:
    assert find_refusal(['A road.', sentence]) == sentence


@pytest.mark.parametrize(
    'sentence',
    [
        'The roofs are in a sorry state.',
        'A road as an aircraft sees it.',
        'I-80 crosses the city.',
        'No images of cars can be seen.',
        'Cars cannot pass.',
        'An air base as an airport.',
    ],
)
def test_no_refusals(sentence: str) -> None:
    assert find_refusal([sentence]) is None


def test_refusals_of_ones_own() -> None:
    assert find_refusal(['Bild fehlt.'], ['bild fehlt']) and not find_refusal(['I am sorry.'], [])


def test_repeats() -> None:
    assert drop_repeats(
        [
            'A road, and a house.',
            'a ROAD and a house!',
            'And a house, a road.',
            'A house.',
            '!!',
            'Ａ ｈｏｕｓｅ.',
        ]
    ) == ['A road, and a house.', 'And a house, a road.', 'A house.']
    # Not the same, though the words are.
    two = ['A road left of a house.', 'A house left of a road.', 'A house, a house.']
    assert drop_repeats(two) == two


def test_a_caption_ends_with_a_sentence() -> None:
    sentences = ['one two three.', 'four five.', 'six.']
    assert fit(sentences, by_word, 8) == 'one two three. four five. six.'
    assert fit(sentences, by_word, 7) == 'one two three. four five.'
    assert fit(sentences, by_word, 6) == 'one two three.'
    # A later sentence that would fit does not jump the queue.
    assert fit(['one.', 'two three four.', 'five.'], by_word, 4) == 'one.'


def test_a_first_sentence_that_is_too_long_ends_with_a_word() -> None:
    assert fit(['one, two, three, four.', 'five.'], by_word, 5) == 'one, two, three'
    assert fit(['学校旁边有路。'], by_letter, 5) == '学校旁'
    # Not between a letter and its accent.
    assert fit(['abe\u0301'], by_letter, 5) == 'ab'
    assert fit(['abc'], by_letter, 2) == '' == fit([], by_letter, 9)


def test_scripts_without_blanks_get_none() -> None:
    assert fit(['学校。', '路。', 'End.'], by_letter, 99) == '学校。路。End.'


def test_a_caption_is_empty_for_a_reason() -> None:
    for text, reason in (
        (' \n', 'empty caption'),
        ('A road. I cannot see it.', "refusal: 'I cannot see it.'"),
        ('?! ...', 'caption without a word'),
    ):
        assert refine_caption(text, by_word, 77) == ('', reason)
    assert refine_caption('word', by_word, 2) == ('', 'nothing of the caption fits into 2 tokens')
    assert refine_caption(' A  road.\nA road. A car.', by_word, 77) == ('A road. A car.', '')


def test_captions_of_an_image() -> None:
    texts = ['A road.', 'a road', 'I cannot.', '', 'A car.']
    assert refine_captions(texts, by_word, 77) == (['A road.', 'A car.'], 'empty caption')
    assert refine_captions([], by_word, 77) == ([], 'no caption')
