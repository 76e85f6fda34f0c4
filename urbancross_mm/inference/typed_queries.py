"""Queries as they are typed on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from urbancross_mm.inference.image_files import read_query
from urbancross_mm.inference.search_query import Query
from urbancross_mm.utils.image_files import SOUND


class TypedQuery(NamedTuple):
    """A query, and what a list of results calls it: a text, or the path of an image."""

    shown: str | Path
    query: Query


def read_typed(
    words: Sequence[str],
    audio: bool = False,
    average: bool = False,
    likes: Sequence[str] = (),
    minus: Sequence[str] = (),
    right: Sequence[str] = (),
    wrong: Sequence[str] = (),
) -> list[TypedQuery]:
    """Tell texts, images and recordings apart. Marks and minus terms go into every query.

    Args:
        words (Sequence[str]): Texts, or paths of images or recordings.
        audio (bool): Whether they all are recordings. Defaults to False.
        average (bool): Whether they are one query. Defaults to False.
        likes (Sequence[str]): Paths of images, or ids. Defaults to ().
        minus (Sequence[str]): Texts, or paths of images. Defaults to ().
        right (Sequence[str]): Ids. Defaults to ().
        wrong (Sequence[str]): Ids. Defaults to ().

    Returns:
        list[TypedQuery]: One per word, or one.

    Raises:
        FileNotFoundError: If a word looks like an image that does not exist, or no recording is
            there.
        ValueError: If a word is empty, or there is nothing to search for.
    """
    terms = [_recording(word) if audio else read_query(word) for word in words]
    less = [read_query(term) for term in minus]
    images = [term for term in likes if Path(term).is_file()]
    shared: dict[str, Any] = dict(
        likes=[*(term for term in likes if term not in images), *right],
        dislikes=list(wrong),
        minus_texts=[term for term in less if not isinstance(term, Path)],
        minus_images=[term for term in less if isinstance(term, Path)],
    )
    groups = [terms] if average or not terms else [[term] for term in terms]
    typed = []
    for group in groups:
        parts: dict[str, list[Any]] = dict(texts=[], images=[*images], recordings=[])
        for term in group:
            parts['recordings' if audio else _kind_of(term)].append(term)
        shown = group[0] if len(group) == 1 else ' + '.join(map(str, group or [*likes, *right]))
        # A recording has no image to draw: its name.
        named = audio and isinstance(shown, Path)
        typed.append(TypedQuery(Path(shown).name if named else shown, Query(**parts, **shared)))
    return typed


def _recording(word: str) -> Path:
    if not Path(word).is_file():
        raise FileNotFoundError(f'--audio takes recordings, and there is no file {word}')
    return Path(word)


def _kind_of(term: str | Path) -> str:
    if not isinstance(term, Path):
        return 'texts'
    return 'recordings' if SOUND.fits(term) else 'images'
