"""What the converters have in common: outputs, names and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbancross_mm.datasets.converters import image_folder, options
from urbancross_mm.datasets.converters.options import refuse_overwrite


def test_an_existing_file_is_kept_without_force(tmp_path):
    path = tmp_path / 'toy.json'
    path.write_text('mine')

    with pytest.raises(FileExistsError, match=r'toy\.json .*--force'):
        refuse_overwrite([path], force=False)
    refuse_overwrite([path], force=True)


def test_a_folder_instead_of_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / 'toy.json').mkdir()
    (tmp_path / 'file').write_text('')

    for path in ('toy.json', 'file/toy.json'):
        with pytest.raises(OSError, match=r'toy\.json'):
            refuse_overwrite([tmp_path / path], force=True)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(name='a/b'), "'a/b'"),
        (dict(name='../b'), r"'\.\./b'"),
        (dict(name='a' + chr(92) + 'b'), 'name'),
        (dict(name=''), "name.*''"),
        (dict(name='..'), r"'\.\.'"),
        (dict(name='a', seed=-1), '--seed .*-1'),
    ],
)
def test_names_that_lead_out_of_the_folder_and_seeds_below_0(settings, message):
    folder = Path('x')
    for kind, more in (
        (options.Options, dict(root=folder)),
        (image_folder.Options, dict(images=folder, texts=[folder])),
    ):
        with pytest.raises(ValueError, match=message):
            kind(out=folder, **more, **settings)
