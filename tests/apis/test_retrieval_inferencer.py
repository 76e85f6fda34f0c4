"""Encode a folder once, search it many times, and refuse what does not fit."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.inference.checkpoints import resolve_checkpoint
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import Gallery

CONFIG = CONFIGS / 'urbancross_finland.py'
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def inferencer(in_sample_dir: Path) -> RetrievalInferencer:
    reset_mmengine_state()
    torch.manual_seed(0)
    return RetrievalInferencer(load_config(CONFIG, sample=True), device='cpu', batch_size=7)


def test_results_are_ranked_and_equal_the_plain_products(inferencer: RetrievalInferencer) -> None:
    gallery = inferencer.build_index(IMAGES, progress=False)
    paths = sorted(str(p) for p in IMAGES.glob('*.jpg'))
    assert gallery.ids == paths
    one_by_one = torch.cat([inferencer.encode_images([p]) for p in paths[:9]])
    torch.testing.assert_close(gallery.embeds[:9], one_by_one, rtol=1e-4, atol=1e-5)
    results = inferencer.search('a lake beside a forest', topk=4)
    scores = inferencer.encode_texts(['a lake beside a forest']) @ gallery.embeds.T
    assert [r['rank'] for r in results] == [1, 2, 3, 4]
    assert [r['img_path'] for r in results] == [paths[i] for i in scores[0].topk(4).indices]


def test_an_image_finds_itself_first(inferencer: RetrievalInferencer) -> None:
    inferencer.build_index(IMAGES, progress=False)
    path = sorted(str(p) for p in IMAGES.iterdir())[5]
    best = inferencer.search(image=path, topk=1)[0]
    assert best['img_path'] == path and best['score'] == pytest.approx(1, abs=1e-4)


def test_metadata_filters_and_comes_back(inferencer: RetrievalInferencer) -> None:
    names = sorted(p.name for p in IMAGES.iterdir())
    inferencer.build_index(IMAGES, {names[3]: dict(lon=24.9, domain='finland')}, progress=False)
    result = inferencer.search('water', topk=10, where=lambda r: r.get('domain') == 'finland')
    assert [Path(r['img_path']).name for r in result] == [names[3]]
    assert result[0]['lon'] == 24.9


def test_a_stale_gallery_is_refused(inferencer: RetrievalInferencer, tmp_path: Path) -> None:
    inferencer.build_index(IMAGES, progress=False).save(tmp_path / 'gallery')
    with torch.no_grad():
        next(inferencer.embedder.model.parameters()).add_(1e-3)
    inferencer.embedder._fingerprint = ''
    with pytest.raises(ValueError, match=f'now {inferencer.fingerprint[:8]}'):
        inferencer.use_gallery(Gallery.load(tmp_path / 'gallery'))


def copy_images(folder: Path, number: int = 4) -> Path:
    folder.mkdir(parents=True)
    for path in sorted(IMAGES.glob('*.jpg'))[:number]:
        shutil.copy(path, folder)
    return folder


def count_encoded(inferencer: RetrievalInferencer, monkeypatch) -> list[int]:
    test_step, counts = inferencer.embedder.model.test_step, []

    def counted(batch: dict) -> list:
        counts.append(len(batch['data_samples']))
        return test_step(batch)

    monkeypatch.setattr(inferencer.embedder.model, 'test_step', counted)
    return counts


def test_a_replaced_image_is_encoded_again(
    inferencer: RetrievalInferencer, tmp_path: Path, monkeypatch, capsys
) -> None:
    folder = copy_images(tmp_path / 'tiles')
    names = sorted(path.name for path in folder.iterdir())
    inferencer.build_index(folder, {names[0]: dict(lon=1.5)}, progress=False).save(tmp_path / 'g')
    old = Gallery.load(tmp_path / 'g')
    counts = count_encoded(inferencer, monkeypatch)
    assert inferencer.build_index(folder, gallery=old).is_same(old) and not counts
    assert capsys.readouterr().out == ''
    # Another image under the same name, with the same time.
    times = (folder / names[1]).stat()
    turned = Image.open(folder / names[1]).transpose(Image.Transpose.ROTATE_180)
    turned.save(folder / names[1], quality=95)
    os.utime(folder / names[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    (folder / names[2]).unlink()
    shutil.copy(sorted(IMAGES.glob('*.jpg'))[9], folder / 'new.jpg')
    with pytest.raises(ValueError, match=f'1 of its 4 .*{names[1]}'):
        inferencer.use_gallery(old)
    updated = inferencer.build_index(folder, gallery=old, progress=False)
    assert sum(counts) == 2
    assert re.search('1 of 4 .* new, 1 .* changed .* 1 .* gone: 2 ', capsys.readouterr().out)
    fresh = inferencer.build_index(folder, progress=False)
    torch.testing.assert_close(updated.embeds, fresh.embeds, rtol=1e-4, atol=1e-5)
    assert updated.ids == fresh.ids == sorted(map(str, folder.iterdir()))
    assert [record.get('lon') for record in updated.metadata] == [1.5, None, None, None]


@pytest.mark.parametrize('size', [0, 1])
def test_bytes_decide_not_size_and_time(
    inferencer: RetrievalInferencer, tmp_path: Path, size: int
) -> None:
    folder = tmp_path / 'tiles'
    folder.mkdir()
    for name, color in (('a.bmp', 'red'), ('b.bmp', 'blue')):
        Image.new('RGB', (40, 40), color).save(folder / name)
    gallery = inferencer.build_index(folder, progress=False)
    times = (folder / 'b.bmp').stat()
    Image.new('RGB', (40, 40 + size), 'white').save(folder / 'b.bmp')
    os.utime(folder / 'b.bmp', ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ValueError, match=r'1 of its 2 .*b\.bmp'):
        inferencer.use_gallery(gallery)


def test_a_folder_is_the_same_by_another_path(
    inferencer: RetrievalInferencer, tmp_path: Path, monkeypatch
) -> None:
    folder = copy_images(tmp_path / 'tiles')
    inferencer.build_index(folder, progress=False).save(tmp_path / 'g')
    old = Gallery.load(tmp_path / 'g')
    counts = count_encoded(inferencer, monkeypatch)
    (tmp_path / 'link').symlink_to('tiles')
    shutil.copytree(folder, tmp_path / 'copy')  # other times
    monkeypatch.chdir(tmp_path)
    for path in (
        'link',
        'tiles',
        './tiles/',
        '../' + tmp_path.name + '/tiles',
        'copy',
        Path('.') / 'copy',
        tmp_path / 'copy',
    ):
        result = inferencer.build_index(path, gallery=old)
        assert result.names == old.names
        assert all(map(os.path.isfile, result.ids))
        assert result.ids == [str(Path(path) / name) for name in result.names]
        assert [r['img_path'] for r in result.metadata] == result.ids
        old = result  # the stamps of the copy are kept
    monkeypatch.chdir('tiles')
    assert inferencer.build_index('.', gallery=old).ids == old.names
    assert not counts
    # A gallery can be searched without its images.
    shutil.rmtree(tmp_path / 'copy')
    inferencer.use_gallery(old)
    assert len(inferencer.search('a road', topk=99)) == 4


def test_a_gallery_of_another_model_is_not_updated(
    inferencer: RetrievalInferencer, tmp_path: Path
) -> None:
    folder = copy_images(tmp_path / 'tiles')
    gallery = inferencer.build_index(folder, progress=False)
    gallery.fingerprint = 'other'
    with pytest.raises(ValueError, match='other, now'):
        inferencer.build_index(folder, gallery=gallery)


def test_a_gallery_of_another_folder_is_not_replaced(
    inferencer: RetrievalInferencer, tmp_path: Path
) -> None:
    gallery = inferencer.build_index(copy_images(tmp_path / 'tiles'), progress=False)
    (tmp_path / 'others').mkdir()
    Image.new('RGB', (40, 40)).save(tmp_path / 'others/x.png')
    with pytest.raises(ValueError, match='others .* none of its 4'):
        inferencer.build_index(tmp_path / 'others', gallery=gallery)
    assert inferencer.gallery is gallery


def test_unreadable_images_are_tried_again(
    inferencer: RetrievalInferencer, tmp_path: Path, capsys
) -> None:
    folder = copy_images(tmp_path / 'tiles', 2)
    (folder / 'bad.jpg').write_bytes(b'half')
    gallery = inferencer.build_index(folder, skip_bad=True, progress=False)
    again = inferencer.build_index(folder, skip_bad=True, progress=False, gallery=gallery)
    assert again.is_same(gallery) and torch.equal(again.embeds, gallery.embeds)
    assert capsys.readouterr().out.count('1 of 3 images could') == 2
    with pytest.raises(ValueError, match=r'bad\.jpg'):
        inferencer.build_index(folder, progress=False, gallery=gallery)
    shutil.copy(IMAGES / Path(gallery.ids[0]).name, folder / 'bad.jpg')
    assert len(inferencer.build_index(folder, progress=False, gallery=gallery)) == 3


def test_an_image_that_changes_while_it_is_read(
    inferencer: RetrievalInferencer, tmp_path: Path, monkeypatch
) -> None:
    folder = copy_images(tmp_path / 'tiles', 1)
    (path,) = folder.iterdir()
    pipeline = inferencer.embedder.pipeline

    def slow(record: dict) -> dict:
        data = pipeline(record)
        Image.new('RGB', (9, 9)).save(path)
        return data

    monkeypatch.setattr(inferencer.embedder, 'pipeline', slow)
    with pytest.raises(ValueError, match=f'{path} changed'):
        inferencer.build_index(folder, progress=False)


def test_the_fingerprint_is_of_contents_not_of_paths(
    inferencer: RetrievalInferencer, tmp_path: Path
) -> None:
    results = []
    for name, content in (('a/v.json', '{"a": 1}'), ('b/v.json', '{"a": 1}'), ('c/v.json', '{}')):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
        inferencer.embedder.pipeline_cfg[0]['vocabulary'] = str(tmp_path / name)
        inferencer.embedder._fingerprint = ''
        results.append(inferencer.fingerprint)
    assert results[0] == results[1] != results[2]


def test_weights_are_loaded_safely_and_checked(in_sample_dir: Path, tmp_path: Path) -> None:
    reset_mmengine_state()
    cfg = load_config(CONFIG, sample=True)
    model = RetrievalInferencer(cfg, device='cpu').embedder.model
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), tmp_path / 'good.pth')
    torch.save(dict(state_dict={'x': torch.zeros(1)}), tmp_path / 'other.pth')
    loaded = RetrievalInferencer(cfg, tmp_path / 'good.pth', device='cpu').embedder.model
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values())
    )
    with pytest.raises(ValueError, match=r'other\.pth'):
        RetrievalInferencer(cfg, tmp_path / 'other.pth', device='cpu')
    (tmp_path / 'torn.pth').write_bytes((tmp_path / 'good.pth').read_bytes()[:2000])
    with pytest.raises(ValueError, match=r'torn\.pth'):
        RetrievalInferencer(cfg, tmp_path / 'torn.pth', device='cpu')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        resolve_checkpoint(str(tmp_path / 'nowhere.pth'))


def test_bad_images_and_bad_queries(
    inferencer: RetrievalInferencer, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    Image.new('RGB', (64, 64), 'red').save(tmp_path / 'good.png')
    (tmp_path / 'bad.jpg').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'bad\.jpg'):
        inferencer.build_index(tmp_path, progress=False)
    assert len(inferencer.build_index(tmp_path, skip_bad=True, progress=False).ids) == 1
    assert '1 of 2 ' in capsys.readouterr().out
    for query in (dict(), dict(text='a', image='b'), dict(text=' ')):
        with pytest.raises(ValueError):
            inferencer.search(**query)
    with pytest.raises(FileNotFoundError, match='missing'):
        inferencer.build_index(tmp_path / 'missing')


def test_registry_builds_the_same_model_as_the_runner(in_sample_dir: Path) -> None:
    cfg = load_config(CONFIG, sample=True)
    assert type(MODELS.build(cfg.model)).__name__ == 'UrbanCross'
