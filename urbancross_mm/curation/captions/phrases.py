"""Turns map tags into words: pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter

# Names of tags, and templates for values of a key. Other tags stay as they are.
NOUNS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            'aerialway',
            'aeroway',
            'amenity',
            'barrier',
            'emergency',
            'historic',
            'junction',
            'leisure',
            'man made',
            'place',
            'power',
            'tourism',
            'water',
            'waterway',
        ),
        'a {value}',
    ),
    **dict.fromkeys(('road', 'highway'), 'a {value} road'),
    **dict.fromkeys(('land use', 'landuse'), '{value} land'),
    'amenity of parking': 'a parking lot',
    'building': 'a {value} building',
    'crop': 'a field of {value}',
    'generator source': 'a {value} power generator',
    'land use of farmland': 'farmland',
    'land use of forest': 'a forest',
    'land use of grass': 'grass',
    'military': 'a military {value}',
    'natural': 'an area of {value}',
    'natural of tree': 'a tree',
    'natural of tree row': 'a row of trees',
    'natural of water': 'a body of water',
    'natural of wood': 'a wood',
    'office': 'a {value} office',
    'public transport': 'a public transport {value}',
    'railway of rail': 'a railway track',
    'roof shape': 'a {value} roof',
    'shop': 'a {value} shop',
    'sport': 'a {value} ground',
    'surface': 'a surface of {value}',
}
# "an airport", but "a university".
_VOWEL = re.compile(r'\ba (?=[aeio]|u(?!ni|se|ti|ro))', re.IGNORECASE)


def noun_phrase(phrase: str, nouns: Mapping[str, str] = NOUNS) -> str:
    """A tag as a noun phrase.

    Examples:
        >>> noun_phrase('road of unclassified')
        'an unclassified road'
        >>> noun_phrase('building of yes')
        'a building'
    """
    phrase = words(phrase)
    if phrase in nouns and ' of ' in phrase:
        return nouns[phrase]
    key, separator, value = phrase.partition(' of ')
    if not separator or value == 'yes':
        return with_article(key)
    return right_article(nouns[key].replace('{value}', value)) if key in nouns else phrase


def noun_phrases(
    phrases: Iterable[str],
    nouns: Mapping[str, str] = NOUNS,
    limit: int | None = None,
    but: Sequence[str] = (),
) -> list[str]:
    """Distinct noun phrases of tags, in order: at most ``limit``, and without those in ``but``."""
    nouns_of = [noun_phrase(phrase, nouns) for phrase in phrases if phrase.strip()]
    return [noun for noun in dict.fromkeys(nouns_of) if noun not in but][:limit]


def enumeration(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return ' and '.join([', '.join(items[:-1]), items[-1]] if len(items) > 1 else items)


def geo_tags(focus: Sequence[str], around: Sequence[str]) -> str:
    """The tags of an image in one string, for a prompt.

    Reference:
        SkyScript (https://arxiv.org/abs/2312.12856), whose captions have this form.
    """
    around_text = f'surrounded by {", ".join(around)}' if around else ''
    return '; '.join(part for part in (', '.join(focus), around_text) if part)


def words(text: str) -> str:
    """A name with spaces: ``dense_residential`` becomes ``dense residential``."""
    return ' '.join(text.replace('_', ' ').split())


def with_article(noun: str) -> str:
    """A noun with its indefinite article."""
    return right_article(f'a {noun}')


def right_article(text: str) -> str:
    """Every ``a`` before a vowel becomes ``an``."""
    return _VOWEL.sub(lambda match: f'{match[0][0]}n ', text)


def check_template(template: str, allowed: Sequence[str], what: str) -> set[str]:
    """Names of the variables of a template, which must be among the allowed ones."""
    try:
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f'{what} is not a valid template, {error}: {template!r}') from error
    if names - set(allowed):
        known = ', '.join(f'{{{name}}}' for name in allowed)
        raise ValueError(
            f'{what} may hold {known}, got {sorted(names - set(allowed))} in {template!r}; '
            'write a literal brace twice'
        )
    return names
