"""Names that leave their folder are refused; ids are the same everywhere."""

import subprocess
import sys

import pytest

from urbancross_mm.utils.ids import IdRegister, check_image_ids, stable_id
from urbancross_mm.utils.paths import safe_join


@pytest.mark.parametrize(
    'name', ['../x.jpg', 'a/../../x.jpg', '/etc/passwd', '', 'a\\..\\..\\x', 'C:\\x.jpg', '.', './']
)
def test_names_that_climb_out_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match='list.txt:3'):
        safe_join('root', name, 'list.txt:3')


@pytest.mark.parametrize('name', ['a\0.jpg', 'x' * 256, 'ü' * 128, 'x/' * 2500 + 'a.jpg'])
def test_names_that_no_disk_can_hold_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match='file name .*list.txt:3'):
        safe_join('root', name, 'list.txt:3')


def test_ordinary_names_are_joined() -> None:
    assert safe_join('root', 'beach/beach01.jpg') == 'root/beach/beach01.jpg'
    assert safe_join('root', 'a..b.jpg') == 'root/a..b.jpg'
    assert safe_join('root', 'ü' * 127) == f'root/{"ü" * 127}'


def test_ids_do_not_depend_on_the_process() -> None:
    code = 'from urbancross_mm.utils.ids import stable_id; print(stable_id("ein Wäldchen"))'
    other = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == stable_id('ein Wäldchen')
    assert 0 <= stable_id('') < 2**63


def test_ids_of_many_texts_are_distinct() -> None:
    assert len({stable_id(f'caption {i}') for i in range(20000)}) == 20000


def test_one_id_belongs_to_one_image() -> None:
    same = [('a', 'x/1.png'), ('b', 'x/2.png'), (7, 'x/3.png'), ('7', 'x/4.png')]
    check_image_ids([*same, *same, ('a', 'x/../x/1.png'), ('a', None)])
    with pytest.raises(ValueError, match="'a', x/1.png and y/1.png"):
        check_image_ids([*same, ('a', 'y/1.png')])


def test_a_register_gives_back_the_first_that_has_an_id() -> None:
    once: IdRegister[int] = IdRegister()
    assert [once.clash(key, n) for n, key in enumerate('abaca')] == [None, None, 0, None, 0]
    assert once.clash('b', 1) == 1  # the same thing again is a second use
    folded: IdRegister[str] = IdRegister(lambda first, second: first.lower() == second.lower())
    assert [folded.clash(1, name) for name in ('x', 'X', 'y', 'x')] == [None, None, 'x', None]
