"""Tags as words."""

import pytest

from urbancross_mm.curation.captions.phrases import (
    check_template,
    enumeration,
    geo_tags,
    noun_phrase,
    noun_phrases,
)


@pytest.mark.parametrize(
    'tag, words',
    [
        ('amenity of school', 'a school'),
        ('road of residential', 'a residential road'),
        ('road of unclassified', 'an unclassified road'),
        ('amenity of university', 'a university'),
        ('amenity of place_of_worship', 'a place of worship'),
        ('building of yes', 'a building'),
        ('building', 'a building'),
        ('land use of industrial', 'industrial land'),
        ('generator source of solar', 'a solar power generator'),
        ('religion of hindu', 'religion of hindu'),
        ('natural of {sand}', 'an area of {sand}'),
        ('natural of tree_row', 'a row of trees'),
    ],
)
def test_a_tag_in_a_sentence(tag: str, words: str) -> None:
    assert noun_phrase(tag) == words


def test_each_is_named_once_and_the_focus_is_not_around_itself() -> None:
    tags = ['road of service', 'road of service', ' ', 'amenity of school', 'building of yes']
    assert noun_phrases(tags) == ['a service road', 'a school', 'a building']
    assert noun_phrases(tags, limit=1, but=['a service road']) == ['a school']


def test_enumerations() -> None:
    assert [enumeration(['a', 'b', 'c'][:n]) for n in (1, 2, 3)] == ['a', 'a and b', 'a, b and c']


def test_tags_for_a_prompt() -> None:
    focus, around = ['amenity of school', 'building of yes'], ['road of service']
    assert (
        geo_tags(focus, around)
        == 'amenity of school, building of yes; surrounded by road of service'
    )
    assert geo_tags([], around) == 'surrounded by road of service'
    assert geo_tags(focus[:1], []) == 'amenity of school' and geo_tags([], []) == ''


def test_templates_are_looked_through() -> None:
    assert check_template('a {b} {{c}}', ('b', 'd'), 'x') == {'b'}
    with pytest.raises(ValueError, match=r"prompt.*\{geo_tags\}.*got \['geo tags'\]"):
        check_template('{geo tags}', ('geo_tags',), 'prompt')
    with pytest.raises(ValueError, match=r"prompt.*'\{open'"):
        check_template('{open', ('geo_tags',), 'prompt')
