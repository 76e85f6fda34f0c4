"""Settings on the command line mean what they say."""

import argparse
from typing import Any

import pytest

from urbancross_mm.utils.options import ConfigOptions


def read(*entries: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    return parser.parse_args(['--cfg-options', *entries]).cfg_options


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('Describe this image, shortly.', 'Describe this image, shortly.'),
        ("['Seen from space: {label} scene.', 'b']", ['Seen from space: {label} scene.', 'b']),
        ("['../my maps/x.geojson']", ['../my maps/x.geojson']),
        ('../my maps/x.geojson', '../my maps/x.geojson'),
        ('"a b"', 'a b'),
        ('word', 'word'),
        ('', ''),
        ('it\'s a "text"', 'it\'s a "text"'),
        ('3', 3),
        ('1e-4', 1e-4),
        ('-0.1', -0.1),
        ('True', True),
        ('false', False),
        ('None', None),
        ('rsicd,ucm', ['rsicd', 'ucm']),
        ('[rsicd, ucm]', ['rsicd', 'ucm']),
        ('1,2', [1, 2]),
        ('(1,2)', (1, 2)),
        ('[(a,b),c]', [('a', 'b'), 'c']),
        ('[0.2]', [0.2]),
        ('[]', []),
        ("[rsicd, 'a b', (c, 2)]", ['rsicd', 'a b', ('c', 2)]),
        ('( a, b )', ('a', 'b')),
        ('[INST] Describe it [/INST]', '[INST] Describe it [/INST]'),
        ('a,b)', 'a,b)'),
        ('(short) Describe it, please (now)', '(short) Describe it, please (now)'),
        ('...', '...'),
        ('12#3', '12#3'),
        ('  3 ', 3),
        ("{'a': 1}", {'a': 1}),
        ('data/x=y.json', 'data/x=y.json'),
    ],
)
def test_values(text: str, value: Any) -> None:
    result = read(f'key.0.name={text}')['key.0.name']
    assert result == value and type(result) is type(value)


def test_several_options_and_the_last_one_wins() -> None:
    assert read('a=1', 'b.c=x y', 'a=2') == {'a': 2, 'b.c': 'x y'}


@pytest.mark.parametrize(
    ('entry', 'sentence'),
    [
        ('no-value', "an option is KEY=VALUE, got 'no-value'"),
        ('=3', 'an option is KEY=VALUE'),
        ("a=[b c, 'd']", 'a text with blanks stands in quotes; got b c in'),
        ('a=[my map.geojson]', 'got my map.geojson in [my map.geojson]'),
    ],
)
def test_what_is_no_option_ends_in_a_sentence(
    entry: str, sentence: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        read(entry)
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize('entry', ['.a=1', 'a.=1', 'a..b=1'])
def test_a_key_has_no_empty_part(entry: str, capsys: pytest.CaptureFixture) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', entry])
    assert f'an option is KEY=VALUE, got {entry!r}' in capsys.readouterr().err
