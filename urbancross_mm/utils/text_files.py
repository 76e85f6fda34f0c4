"""Reading text and JSON files strictly, with errors that name the line."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# UTF-32 before UTF-16: its mark begins with the other's.
OTHER_MARKS = {
    codecs.BOM_UTF32_LE: 'UTF-32',
    codecs.BOM_UTF32_BE: 'UTF-32',
    codecs.BOM_UTF16_LE: 'UTF-16',
    codecs.BOM_UTF16_BE: 'UTF-16',
}
_SURROGATE = re.compile(r'\\u[dD][89a-fA-F]')


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Args:
        path (str | Path): The file.

    Returns:
        str: Its text without the mark; no line end is translated.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, or holds a NUL character; the message names the line.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}')
    return decode_text(Path(path).read_bytes(), path)


def decode_text(data: bytes, path: str | Path) -> str:
    """Decode the content of a UTF-8 file, see :func:`read_text`.

    Args:
        data (bytes): The content.
        path (str | Path): Where it is from, for the message.

    Returns:
        str: Its text without a byte order mark.

    Raises:
        ValueError: See :func:`read_text`.
    """
    for mark, name in OTHER_MARKS.items():
        if data.startswith(mark):
            raise ValueError(f'{path} is {name} text, not UTF-8: save it as UTF-8')
    try:
        text = data.decode('utf-8').removeprefix('\ufeff')
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b'\n') + 1
        raise ValueError(
            f'{path}, line {line}: not UTF-8 ({error.reason}): save it as UTF-8'
        ) from error
    if '\0' in text:
        line = text[: text.index('\0')].count('\n') + 1
        raise ValueError(
            f'{path}, line {line}: holds a NUL character, so it is a binary or damaged file'
        )
    return text


def read_lines(path: str | Path) -> list[str]:
    """Read the lines of a text file, white space at both ends removed.

    Only line feeds separate lines: captions may hold characters at which Python's ``splitlines``
    would cut.

    Args:
        path (str | Path): A UTF-8 file, with or without a byte order mark.

    Returns:
        list[str]: The lines, empty ones included, but for the end of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, holds a NUL character, or ends its lines with carriage
            returns alone.
    """
    text = read_text(path)
    lone = re.search('\r(?!\n)', text.rstrip())
    if lone:
        line = text.count('\n', 0, lone.start()) + 1
        raise ValueError(
            f'{path}, line {line}: a carriage return without a line feed, so it is '
            'unclear where the line ends: save it with line feeds'
        )
    lines = [line.strip() for line in text.split('\n')]
    return lines if lines[-1] else lines[:-1]


def read_captions(path: str | Path) -> list[str]:
    """Read a text file of one caption per line, see :func:`read_lines`.

    Args:
        path (str | Path): The file.

    Returns:
        list[str]: The lines that are not empty.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If all lines are empty, or it cannot be read.
    """
    captions = [line for line in read_lines(path) if line]
    if not captions:
        raise ValueError(f'the text file {path} has no caption')
    return captions


def read_json(path: str | Path, nan: bool = False) -> Any:
    """Read a JSON file strictly, see :func:`parse_json`.

    Args:
        path (str | Path): A UTF-8 file, with or without a byte order mark.
        nan (bool): Take ``NaN`` and ``Infinity``. Defaults to False.

    Returns:
        Any: Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not valid JSON.
    """
    return parse_json(read_text(path), str(path), nan)


def parse_json(text: str, where: str, nan: bool = False) -> Any:
    """Read JSON, refusing what Python's reader takes although the standard does not.

    Args:
        text (str): One JSON value.
        where (str): Where it is from, for the message.
        nan (bool): Take ``NaN`` and ``Infinity``. Defaults to False.

    Returns:
        Any: The value.

    Raises:
        ValueError: If it is not valid JSON, an object has a key twice, a number is none or has no
            end, a text holds half a character, or it is nested too deep to be read.
    """
    # A parse_float in Python is slow, and maps have millions of coordinates.
    strict: dict[str, Any] = (
        {} if nan else dict(parse_constant=_refuse_constant, parse_float=_finite)
    )
    try:
        content = json.loads(text, object_pairs_hook=_distinct, **strict)
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode('utf-8')
    except RecursionError:
        raise ValueError(f'{where} is not valid JSON: nested too deep') from None
    except UnicodeEncodeError:
        raise ValueError(
            f'{where} is not valid JSON: a text holds half a character (a lone surrogate)'
        ) from None
    except ValueError as error:
        raise ValueError(f'{where} is not valid JSON: {_reason(text, error)}') from error
    return content


def _reason(text: str, error: ValueError) -> str:
    if not text.strip():
        return 'it is empty'
    if (
        isinstance(error, json.JSONDecodeError)
        and error.msg == 'Extra data'
        and text[: error.pos].endswith('\n')
        and text[error.pos] in '{['
    ):
        return f'a second value begins in line {error.lineno}, as in a JSON Lines file'
    return str(error)


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        shown = json.dumps(content, default=str)[:80]
        raise ValueError(f'key {twice!r} stands twice in one object, {shown}')
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is no number of JSON')


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f'the number {text[:20]} is too large')
    return value
