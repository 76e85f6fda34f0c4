"""One sentence for an exception: what is wrong, where, with which value."""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import linecache
import re
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Any

# What is raised with a sentence for the user. Any other kind is named, for it may be a bug.
EXPECTED = (ValueError, KeyError, OSError, ImportError, EOFError, FloatingPointError)
LONGEST = 600  # letters; the end of a longer line is lost in a terminal
_COLOR = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')
_BUILDERS = 'mmengine.registry'
_UNKNOWN = re.compile(r"\(\) got an unexpected keyword argument '(\w+)'$")
_ARGUMENT = re.compile(r'\(\) (got an unexpected keyword|missing \d+ required \w+) argument')


def sentence_of(error: BaseException) -> str:
    """Say what went wrong in one line.

    The traceback of a data-loading worker is reduced to its last exception. Color codes are
    removed. Where a component could not be built, its type and settings are named, and for a wrong
    name of a setting the right one.

    Args:
        error (BaseException): As it was caught, with its traceback.

    Returns:
        str: One line of about 600 letters at most.
    """
    message = ' '.join(_COLOR.sub('', _message_of(error)).split())
    if len(message) > LONGEST:
        words = message[:LONGEST].rpartition(' ')[0]
        start = words if len(words) > LONGEST // 2 else message[:LONGEST]  # one long name
        message = f'{start} ... (URBANCROSS_TRACEBACK=1 shows all)'
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not message:
        message = type(error).__name__
    elif not isinstance(error, EXPECTED) and not _is_sentence(error, message):
        message = f'{type(error).__name__}: {message} (URBANCROSS_TRACEBACK=1 shows where)'
    return _component(frames) + message + _instead(frames, message)


def _instead(frames: list[FrameType], message: str) -> str:
    """What a part of a config takes in place of an argument that it does not know."""
    wrong = _UNKNOWN.search(message)
    built = [frame.f_locals.get('obj_cls') for frame in frames if _builds(frame)]
    kind: Any = built[-1] if built else None
    called = message.partition('(')[0].split('.')
    if not wrong or getattr(kind, '__name__', '?') not in called:
        return ''
    known: dict[str, None] = {}
    # A metaclass may take arguments before the class does.
    for taker in (kind, kind.__init__):
        with contextlib.suppress(ValueError):  # a class of C has no signature
            for item in inspect.signature(taker).parameters.values():
                if item.name != 'self' and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
                    known[item.name] = None
    near = difflib.get_close_matches(wrong[1], known, n=1)
    if near:
        return f'; did you mean {near[0]!r}?'
    return f'; it takes {", ".join(known)}' if known else ''


def _builds(frame: FrameType) -> bool:
    return _module(frame).startswith(_BUILDERS) and frame.f_code.co_name == 'build_from_cfg'


def _is_sentence(error: BaseException, message: str) -> bool:
    """Whether a wrong value or argument was found, and is named, by code that looks for it."""
    if not isinstance(error, TypeError | AssertionError):
        return False
    if _ARGUMENT.search(message):  # of a config
        return True
    place = list(traceback.walk_tb(error.__traceback__))[-1:]
    lines = [linecache.getline(frame.f_code.co_filename, line) for frame, line in place]
    word = 'assert ' if isinstance(error, AssertionError) else 'raise '
    return any(line.lstrip().startswith(word) for line in lines)


def _message_of(error: BaseException) -> str:
    text = _from_worker(error)
    if isinstance(error, KeyError) and error.args:
        return _missing_key(error.args[0] if text is None else _unquoted(text))
    if text is not None:
        return text
    if isinstance(error, OSError) and error.filename is not None:
        return f'{error.filename}: {error.strerror}'
    return str(error)


def _missing_key(key: Any) -> str:
    """A KeyError holds a sentence of ours, or a bare key."""
    return key if isinstance(key, str) and ' ' in key else f'the key {key!r} is missing'


def _unquoted(text: str) -> Any:
    """What the text of a KeyError is the repr of."""
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text


def _from_worker(error: BaseException) -> str | None:
    """Message of an exception that torch has carried over from a worker as text."""
    text = str(error.args[0]) if error.args else ''
    if not text.startswith('Caught ') or 'Traceback (most recent call last)' not in text:
        return None
    lines = text.rstrip().splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith('  File "'))
    # The source line of a frame and its markers are indented, the exception is not.
    rest = [line for line in lines[last + 1 :] if not line.startswith('    ')]
    return ' '.join(rest).partition(': ')[2]


def _component(frames: list[FrameType]) -> str:
    """The part of a config that could not be built: ``Adam(lr='abc') cannot be built: ``.

    Only for foreign exceptions: ours, and the registry's, say what is wrong.
    """
    if not frames or _module(frames[-1]).startswith(('urbancross_mm', _BUILDERS)):
        return ''
    built = [frame.f_locals for frame in frames if _builds(frame)]
    if not built:
        return ''
    kind = built[-1].get('obj_type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
    return f'{name}({_settings(built[-1].get("args", {}))}) cannot be built: '


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get('__name__', ''))


def _settings(args: Mapping[str, Any]) -> str:
    """The plain values of a config, as far as they are short."""
    plain = [
        f'{key}={value!r}'
        for key, value in args.items()
        if isinstance(value, str | int | float | None) and len(repr(value)) < 80
    ]
    return ', '.join(plain[:8])
