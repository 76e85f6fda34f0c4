"""Files and models are known by their content, not by their names or times."""

import os
import shutil
from pathlib import Path

import pytest

from urbancross_mm.utils import hashing
from urbancross_mm.utils.hashing import (
    FileStamp,
    file_digest,
    folder_digest,
    name_files,
    quick_stamp,
    require_files,
    same_image,
)


def make_model(folder: Path, weights: bytes = b'1', config: str = '{}') -> Path:
    (folder / 'qformer').mkdir(parents=True)
    (folder / 'model.safetensors').write_bytes(weights)
    (folder / 'qformer' / 'config.json').write_text(config)
    (folder / 'README.md').write_text(str(folder))
    (folder / '.cache').mkdir()
    (folder / '.cache' / 'x.json').write_text(str(folder))
    return folder


def test_a_folder_is_its_weights_and_configs(tmp_path: Path) -> None:
    one = folder_digest(make_model(tmp_path / 'a'))
    assert one == folder_digest(make_model(tmp_path / 'deeper' / 'b'))
    assert one != folder_digest(make_model(tmp_path / 'c', weights=b'2'))
    assert one != folder_digest(make_model(tmp_path / 'd', config='{"a": 1}'))


def test_links_of_a_folder_count_as_what_they_lead_to(tmp_path: Path) -> None:
    """As the snapshots of a hub's cache are built."""
    model = make_model(tmp_path / 'a')
    store = tmp_path / 'store'
    store.mkdir()
    linked = tmp_path / 'b'
    linked.mkdir()
    (model / 'qformer').rename(store / 'q')
    (store / 'q/back').symlink_to(linked)
    (linked / 'qformer').symlink_to(store / 'q')
    (model / 'model.safetensors').rename(store / '0f')
    (linked / 'model.safetensors').symlink_to(store / '0f')
    (linked / '.hidden').symlink_to(store)
    whole = folder_digest(make_model(tmp_path / 'c'))
    assert folder_digest(linked) == whole
    (store / 'q/config.json').write_text('{"a": 1}')
    assert folder_digest(linked) != whole


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / 'w.pt'
    file.write_bytes(b'1')
    before = file_digest(file)
    file.write_bytes(b'2')
    os.utime(file, ns=(1, 1))
    assert file_digest(file) != before


def test_large_files_are_read_once_in_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(hashing, 'LARGE', 3)
    for content, kept in ((b'12', 0), (b'123', 1)):
        (tmp_path / 'w.pt').write_bytes(content)
        digest = file_digest(tmp_path / 'w.pt')
        assert len(list(tmp_path.glob('cache/urbancross_mm/digests/*'))) == kept
    hashing._digest_of.cache_clear()  # as a new process
    with monkeypatch.context() as closed:
        closed.setattr('builtins.open', None)
        assert file_digest(tmp_path / 'w.pt') == digest
    (kept,) = tmp_path.glob('cache/urbancross_mm/digests/*')
    for junk in (b'', b'\xff', b'0' * 31):
        kept.write_bytes(junk)
        hashing._digest_of.cache_clear()
        assert file_digest(tmp_path / 'w.pt') == digest
    before = os.stat(tmp_path / 'w.pt')
    (tmp_path / 'w.pt').write_bytes(b'124')
    os.utime(tmp_path / 'w.pt', ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest(tmp_path / 'w.pt') != digest


def test_a_cache_that_cannot_be_written_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'cache').write_text('a file')
    (tmp_path / 'w.pt').write_bytes(b'123')
    before = file_digest(tmp_path / 'w.pt')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(hashing, 'LARGE', 3)
    hashing._digest_of.cache_clear()
    assert file_digest(tmp_path / 'w.pt') == before


def test_configs_name_files_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('a', 'b'):
        make_model(tmp_path / name)
    first, second = (
        name_files(
            dict(
                type=dict,
                steps=({'path': str(tmp_path / name)}, 3),
                pretrained=str(tmp_path / name / 'model.safetensors'),
            )
        )
        for name in ('a', 'b')
    )
    assert first == second and str(tmp_path) not in str(first)
    # An option that happens to be called like a folder is an option.
    monkeypatch.chdir(tmp_path)
    assert name_files(dict(stats='a', tag='laion/b')) == dict(stats='a', tag='laion/b')


def test_missing_files_are_named(tmp_path: Path) -> None:
    require_files(dict(pretrained='openai', url='https://x/y.pth', layers=[1]), 'A')
    for cfg in (dict(pretrained='weights/none.pt'), [dict(path=str(tmp_path / 'none'))]):
        with pytest.raises(FileNotFoundError, match=r'Scorer .*none'):
            require_files(cfg, 'Scorer')


def test_a_file_that_was_not_touched_is_not_read(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'content')
    stamp = FileStamp.of(path)
    monkeypatch.setattr(FileStamp, 'of', None)
    assert stamp.renewed(path) is stamp
    path.write_bytes(b'longer content')
    assert stamp.renewed(path) is None


def test_times_alone_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'content')
    stamp = FileStamp.of(path)
    os.utime(path, ns=(1, 1))
    shutil.copy(path, tmp_path / 'b')
    for copy in (path, tmp_path / 'b'):
        now = stamp.renewed(copy)
        assert now is not None and now.digest == stamp.digest and now.renewed(copy) is now


def test_a_replaced_file_of_equal_size_and_time_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'before')
    stamp = FileStamp.of(path)
    times = path.stat()
    path.write_bytes(b'after!')
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == stamp.mtime_ns and path.stat().st_size == stamp.size
    assert stamp.renewed(path) is None


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'x')
    stamp = FileStamp.of(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        stamp.renewed(path)


def test_same_image(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('x')
    (tmp_path / 'b').write_text('y')
    shutil.copy(tmp_path / 'a', tmp_path / 'c')
    assert same_image(str(tmp_path / 'a'), str(tmp_path / 'c'))
    assert not same_image(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert not same_image(str(tmp_path / 'a'), str(tmp_path / 'gone'))
    assert same_image(str(tmp_path / 'gone'), str(tmp_path / 'x/../gone'))


def test_a_quick_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    assert quick_stamp(path) == ''
    path.write_bytes(b'x')
    os.utime(path, ns=(1, 7))
    assert quick_stamp(path) == '1-7'
