"""Text and JSON as everybody reads them."""

from __future__ import annotations

import json

import pytest

from urbancross_mm.utils.text_files import parse_json, read_json, read_lines, read_text

# Where Python's splitlines cuts and a caption does not end.
INSIDE = '\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e'


def test_only_line_feeds_end_a_line(tmp_path):
    (tmp_path / 'a.txt').write_bytes('one\u2028still one\r\n\n three \n\n'.encode())

    assert read_lines(tmp_path / 'a.txt') == ['one\u2028still one', '', 'three', '']


@pytest.mark.parametrize('end', ['', '\n', '\r\n'])
def test_marks_and_the_last_line_feed_change_no_line(tmp_path, end):
    texts = [f'one{mark}two' for mark in INSIDE] + ['drei ü', '四']
    (tmp_path / 'a.txt').write_bytes(b'\xef\xbb\xbf' + ('\n'.join(texts) + end).encode())

    assert read_lines(tmp_path / 'a.txt') == texts


def test_empty_files(tmp_path):
    for content in (b'', b'\xef\xbb\xbf'):
        (tmp_path / 'a.txt').write_bytes(content)
        assert read_lines(tmp_path / 'a.txt') == []


@pytest.mark.parametrize(
    'content, message',
    [
        (b'one\ntw\xff\n', r'a\.txt, line 2: not UTF-8'),
        ('one\ncaf\u00e9\n'.encode('latin-1'), r'a\.txt, line 2: not UTF-8'),
        ('one\n'.encode('utf-16'), r'a\.txt is UTF-16 text'),
        ('\ufeffone\n'.encode('utf-16-be'), r'a\.txt is UTF-16 text'),
        ('one\n'.encode('utf-32'), r'a\.txt is UTF-32 text'),
        ('one\ntwo\n'.encode('utf-16-le'), r'a\.txt, line 1: holds a NUL'),
        (b'one\ntw\0o\n', r'a\.txt, line 2: holds a NUL'),
        (b'one\rtwo\rthree', r'a\.txt, line 1: a carriage return without a line feed'),
        (b'one\r\ntwo\rthree\n', r'a\.txt, line 2: a carriage return without a line feed'),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    (tmp_path / 'a.txt').write_bytes(content)

    with pytest.raises(ValueError, match=message):
        read_lines(tmp_path / 'a.txt')


def test_a_missing_file_is_named(tmp_path):
    for read in (read_text, read_lines, read_json):
        with pytest.raises(FileNotFoundError, match=r'no file .*none\.txt'):
            read(tmp_path / 'none.txt')


def test_plain_json_is_read_as_python_reads_it(tmp_path):
    content = {'a': [1, 2.5, -3e-7, None, True, 'ü \U0001f600 \u2028'], 'b': {'a': {}}, '': 10**30}
    for escaped in (True, False):
        text = json.dumps(content, ensure_ascii=escaped)
        (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf' + text.encode())
        assert read_json(tmp_path / 'a.json') == content


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', "key 'c' stands twice"),
        ('[NaN]', 'NaN is no number'),
        ('[1, -Infinity]', '-Infinity is no number'),
        ('[1e999]', '1e999 is too large'),
        ('[' * 100_000, 'nested too deep'),
        ('{"a": 1} x', r'Extra data: line 1 column 10'),
        ('{"a": 1}\n{"a": 2}\n', 'second value begins in line 2, as in a JSON Lines file'),
        ('{"a":\n tru', 'line 2 column 2'),
        ('[' + '1' * 5000 + ']', 'integer'),
        (r'["\ud800"]', 'half a character'),
        ('', 'it is empty'),
        (' \n', 'it is empty'),
    ],
)
def test_broken_json_ends_in_a_sentence_with_its_file(text, message):
    with pytest.raises(ValueError, match=f'^x.json .*{message}'):
        parse_json(text, 'x.json')


def test_no_number_only_on_request():
    assert str(parse_json('[NaN, Infinity, 1e999]', 'x', nan=True)) == '[nan, inf, inf]'
