"""Galleries: round trip, stale fingerprints, broken files, killed writers."""

from pathlib import Path

import pytest
import torch

from urbancross_mm.structures import Gallery


def make() -> Gallery:
    return Gallery(torch.eye(3, dtype=torch.float16)[:2], ['a.jpg', 'ä b.jpg'],
                   [dict(lon=24.9, lat=None), dict(domain='spain')], 'weights 1')


def test_round_trip(tmp_path: Path) -> None:
    gallery = make()
    gallery.save(tmp_path / 'new' / 'gallery.pth')
    loaded = Gallery.load(tmp_path / 'new' / 'gallery.pth')
    assert torch.equal(loaded.embeds, gallery.embeds) and loaded.embeds.dtype == torch.float16
    assert (loaded.ids, loaded.metadata, loaded.fingerprint) == (
        gallery.ids, gallery.metadata, gallery.fingerprint)
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['gallery.pth']


def test_a_view_is_saved_without_the_tensor_behind_it(tmp_path: Path) -> None:
    Gallery(torch.zeros(10_000, 64)[:2], ['a', 'b']).save(tmp_path / 'gallery.pth')
    assert (tmp_path / 'gallery.pth').stat().st_size < 10_000


def test_stale_gallery_is_refused() -> None:
    make().check_fingerprint('weights 1')
    with pytest.raises(ValueError, match="'weights 1'.*'weights 2'"):
        make().check_fingerprint('weights 2')


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / 'gallery.pth'
    make().save(path)
    before = path.read_bytes()

    def full_disk(content: object, file: str) -> None:
        Path(file).write_bytes(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(OSError, match='No space left'):
        make().save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_must_be_plain(tmp_path: Path) -> None:
    for value in (torch.ones(1), float('nan')):
        with pytest.raises(ValueError, match='plain JSON'):
            Gallery(torch.eye(1), ['a'], [dict(x=value)]).save(tmp_path / 'gallery.pth')
    assert not list(tmp_path.iterdir())


class Payload:
    """Something that unpickling would execute."""

    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('owned').touch()",)


def test_foreign_files_are_refused_and_not_executed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='no gallery at'):
        Gallery.load('missing.pth')
    torch.save(dict(format=Payload()), 'evil.pth')
    Path('text.pth').write_text('hello')
    torch.save(dict(state_dict={}), 'checkpoint.pth')
    for name in ('evil.pth', 'text.pth', 'checkpoint.pth'):
        with pytest.raises(ValueError, match=f"'{name}' is no gallery"):
            Gallery.load(name)
    assert not Path('owned').exists()
    make().save('gallery.pth')
    whole = Path('gallery.pth').read_bytes()
    Path('gallery.pth').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match='damaged'):
        Gallery.load('gallery.pth')


@pytest.mark.parametrize(('arguments', 'message'), [
    ((torch.eye(2), ['a']), '2 embeddings, 1 ids and 1 metadata'),
    ((torch.eye(2), ['a', 'b'], [{}]), '2 embeddings, 2 ids and 1 metadata'),
    ((torch.ones(2), ['a', 'b']), r'floating of shape \(N, D\)'),
    ((torch.ones(2, 2).long(), ['a', 'b']), 'floating'),
])
def test_parts_must_belong_together(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gallery(*arguments)


def test_metadata_default_is_one_record_a_picture() -> None:
    gallery = Gallery(torch.eye(2), ['a', 'b'])
    gallery.metadata[0]['lon'] = 1.0
    assert gallery.metadata == [{'lon': 1.0}, {}]
