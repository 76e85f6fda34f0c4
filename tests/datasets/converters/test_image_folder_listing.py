"""What is passed over in a folder of images is said where it becomes a dataset."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from urbancross_mm.datasets.converters.image_folder import Options, convert


def test_every_image_once_and_what_is_passed_over(tmp_path: Path, capsys) -> None:
    images, store = tmp_path / 'images', tmp_path / 'store'
    for folder, names in (
        (images, ('a.jpg', 'b.webp')),
        (store, [f'c{n}.png' for n in range(9)]),
        (images / '.ipynb_checkpoints', ('a-checkpoint.jpg',)),
    ):
        folder.mkdir()
        for name in names:
            Image.new('RGB', (8, 8)).save(folder / name)
    (images / 'north').symlink_to(store)
    (images / 'again.jpg').symlink_to('a.jpg')
    (images / 'x.gif').write_bytes(b'')
    (tmp_path / 'texts.txt').write_text('a road\n')
    convert(
        Options(
            images=images, texts=[tmp_path / 'texts.txt'], out=tmp_path / 'annotations', name='city'
        )
    )
    assert 'passed over: 1 .gif, 1 hidden, 1 second names' in capsys.readouterr().out
    results = [
        item['img_path']
        for split in ('train', 'val')
        for item in json.loads((tmp_path / f'annotations/city_{split}.json').read_text())[
            'data_list'
        ]
    ]
    assert sorted(results) == ['a.jpg', 'b.webp', *(f'north/c{n}.png' for n in range(9))]
