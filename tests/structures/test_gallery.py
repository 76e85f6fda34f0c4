"""Galleries: round trip, stale fingerprints, broken files, killed writers."""

import zipfile
from pathlib import Path

import pytest
import torch

from urbancross_mm.structures import Gallery
from urbancross_mm.utils.hashing import FileStamp


def make() -> Gallery:
    return Gallery(
        torch.eye(3, dtype=torch.float16)[:2],
        ['a.jpg', 'ä b.jpg'],
        [dict(lon=24.9, lat=None), dict(domain='spain')],
        'model 1',
    )


def test_round_trip(tmp_path: Path) -> None:
    gallery = make()
    gallery.save(tmp_path / 'new' / 'gallery.pth')
    loaded = Gallery.load(tmp_path / 'new' / 'gallery.pth')
    assert torch.equal(loaded.embeds, gallery.embeds) and loaded.embeds.dtype == torch.float16
    assert (loaded.ids, loaded.metadata, loaded.fingerprint) == (
        gallery.ids,
        gallery.metadata,
        gallery.fingerprint,
    )
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['gallery.pth']


def test_a_view_is_saved_without_the_tensor_behind_it(tmp_path: Path) -> None:
    Gallery(torch.zeros(10_000, 64)[:2], ['a', 'b']).save(tmp_path / 'gallery.pth')
    assert (tmp_path / 'gallery.pth').stat().st_size < 10_000


def test_stale_gallery_is_refused() -> None:
    make().check_fingerprint('model 1')
    with pytest.raises(ValueError, match='model 1, now model 2'):
        make().check_fingerprint('model 2')


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
        with pytest.raises(ValueError, match='metadata'):
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
        with pytest.raises(ValueError, match=name):
            Gallery.load(name)
    assert not Path('owned').exists()
    make().save('gallery.pth')
    whole = Path('gallery.pth').read_bytes()
    Path('gallery.pth').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match='gallery.pth'):
        Gallery.load('gallery.pth')


def test_files_and_their_folder_come_back(tmp_path: Path) -> None:
    (tmp_path / 'tiles').mkdir()
    paths = [str(tmp_path / 'tiles' / name) for name in ('a.jpg', 'b.jpg')]
    for path in paths:
        Path(path).write_text(path)
    gallery = Gallery(
        torch.eye(2),
        paths,
        folder=str(tmp_path / 'tiles'),
        stamps=[FileStamp.of(path) for path in paths],
    )
    gallery.save(tmp_path / 'g')
    loaded = Gallery.load(tmp_path / 'g')
    assert loaded.is_same(gallery) and loaded.names == ['a.jpg', 'b.jpg']
    assert loaded.changed_files() == []
    Path(paths[0]).write_text('else')
    assert loaded.changed_files() == paths[:1]
    Path(paths[0]).unlink()
    assert loaded.changed_files() == []


def test_names_are_what_comes_after_the_folder() -> None:
    for folder, ids in (
        ('', ['x/a.jpg']),
        ('.', ['x/a.jpg']),
        ('/', ['/x/a.jpg']),
        ('t/', ['t/x/a.jpg']),
        ('./t', ['t/x/a.jpg']),
    ):
        assert Gallery(torch.ones(1, 2), ids, folder=folder).names == ['x/a.jpg']
    assert Gallery(torch.ones(1, 2), ['/x/a.jpg']).names == ['/x/a.jpg']


def test_an_earlier_gallery_is_built_again(tmp_path: Path) -> None:
    torch.save(
        dict(
            format='urbancross_mm.gallery/1',
            embeds=torch.eye(2),
            ids=['a', 'b'],
            metadata='[{}, {}]',
            fingerprint='x',
        ),
        tmp_path / 'g',
    )
    with pytest.raises(ValueError, match=str(tmp_path / 'g')):
        Gallery.load(tmp_path / 'g')


@pytest.mark.parametrize(
    ('part', 'message'),
    [
        (dict(embeds=torch.eye(2) / 0), '2 of 2 embeddings are not finite, the first is that of a'),
        (dict(embeds=torch.tensor([[1, 0], [float('nan'), 0]])), '1 of 2 .* that of b'),
        (dict(embeds=[[1.0, 0.0], [0.0, 1.0]]), 'embeds must be a tensor, got list'),
        (dict(embeds=torch.ones(3, 2)), '3 embeddings, 2 ids'),
        (dict(embeds=torch.ones(2, 2, 2)), r'shape \(N, D\)'),
        (dict(ids=['a', 1]), 'ids must be a list of str'),
        (dict(ids='ab'), 'ids must be a list'),
        (dict(metadata='[1, 2]'), 'metadata must be a list of dict'),
        (dict(metadata='{"a": 1}'), 'metadata must be a list'),
        (dict(metadata='[{'), 'damaged'),
        (dict(metadata=None), 'damaged'),
        (dict(fingerprint=1), 'fingerprint must be a str, got int'),
        (dict(stamps=[(1, 2, 3, 'x')]), '1 stamps for 2 ids'),
        (dict(stamps=[(1,), 2]), 'damaged'),
        (dict(embeds=torch.zeros(1).expand(2, 10**15)), 'larger than what the file holds'),
        (dict(embeds=torch.eye(2).to_sparse()), 'damaged'),
        (dict(embeds=torch.eye(2).to(torch.float8_e4m3fn)), 'damaged'),
        (dict(metadata='[' * 10**5), 'damaged'),
        (dict(folder=None), 'folder must be a str'),
        (dict(more=1), 'damaged'),
    ],
)
def test_a_doctored_file_is_refused_by_name(part: dict, message: str, tmp_path: Path) -> None:
    whole = dict(
        format='urbancross_mm.gallery/2',
        embeds=torch.eye(2),
        ids=['a', 'b'],
        metadata='[{}, {}]',
        fingerprint='x',
        folder='',
        stamps=[],
    )
    torch.save({**whole, **part}, tmp_path / 'g')
    with pytest.raises(ValueError, match=message) as caught:
        Gallery.load(tmp_path / 'g')
    assert str(tmp_path / 'g') in str(caught.value)
    for name in part if 'more' not in part else ():
        torch.save({key: value for key, value in whole.items() if key != name}, tmp_path / 'g')
        with pytest.raises(ValueError, match=name):
            Gallery.load(tmp_path / 'g')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((torch.eye(2), ['a']), '2 embeddings, 1 ids and 1 metadata'),
        ((torch.eye(2), ['a', 'b'], [{}]), '2 embeddings, 2 ids and 1 metadata'),
        ((torch.ones(2), ['a', 'b']), r'floating of shape \(N, D\)'),
        ((torch.ones(2, 2).long(), ['a', 'b']), 'floating'),
    ],
)
def test_parts_must_belong_together(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gallery(*arguments)


def test_metadata_default_is_one_record_per_image() -> None:
    gallery = Gallery(torch.eye(2), ['a', 'b'])
    gallery.metadata[0]['lon'] = 1.0
    assert gallery.metadata == [{'lon': 1.0}, {}]


def test_a_compressed_gallery_is_refused(tmp_path: Path) -> None:
    Gallery(torch.zeros(1000, 1000), [str(n) for n in range(1000)]).save(tmp_path / 'whole')
    with (
        zipfile.ZipFile(tmp_path / 'whole') as whole,
        zipfile.ZipFile(tmp_path / 'bomb', 'w', zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))
    with pytest.raises(ValueError, match=r'bomb.* \d{7}'):
        Gallery.load(tmp_path / 'bomb')


def test_a_foreign_tensor_is_refused_in_one_line(tmp_path):
    gallery = Gallery(torch.eye(2), ['a', 'b'])
    gallery.save(tmp_path / 'g')
    content = torch.load(tmp_path / 'g', weights_only=True)
    torch.save(dict(content, embeds=torch.empty(2, 2, device='meta')), tmp_path / 'g')
    with pytest.raises(ValueError, match=str(tmp_path / 'g')) as caught:
        Gallery.load(tmp_path / 'g')
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 250 + len(str(tmp_path))
