"""Arguments of the tools that search in rasters."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from urbancross_mm.inference.localization.localizer import MODES, SIDES
from urbancross_mm.utils import raster_arguments
from urbancross_mm.utils.raster_arguments import add_raster_arguments


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='tool')
    add_raster_arguments(parser)
    return parser.parse_args(arguments)


def test_the_defaults_are_those_of_the_localizer() -> None:
    given = parsed()
    assert (given.mode, tuple(given.scales), given.bands, given.cache) == (
        'windows', SIDES, None, None,
    )  # fmt: skip
    assert tuple(MODES) == raster_arguments.MODES


def test_what_is_given() -> None:
    given = parsed('--mode', 'dense', '--scales', '64', '--bands', '4', '3', '2', '--cache', 'kept')
    assert (given.mode, given.scales, given.bands) == ('dense', [64], [4, 3, 2])
    assert given.cache == Path('kept')


@pytest.mark.parametrize('value', ['0', '-1', '1.5', 'x'])
@pytest.mark.parametrize('name', ['--scales', '--bands'])
def test_what_is_no_number_from_one_is_named(
    name: str, value: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        parsed(name, '1', '2', f' {value}')  # argparse takes -1 for an option
    said = capsys.readouterr().err
    assert name in said and value in said
