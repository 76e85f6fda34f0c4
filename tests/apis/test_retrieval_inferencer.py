"""Encode a folder once, ask it many times, and refuse what does not fit."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.runs import CONFIGS, forget_runs
from urbancross_mm.apis import RetrievalInferencer, load_config, resolve_checkpoint
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import Gallery

CONFIG = CONFIGS / 'urbancross_finland.py'
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def inferencer(in_sample_dir: Path) -> RetrievalInferencer:
    forget_runs()
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


def test_a_picture_finds_itself_first(inferencer: RetrievalInferencer) -> None:
    inferencer.build_index(IMAGES, progress=False)
    path = sorted(str(p) for p in IMAGES.iterdir())[5]
    best = inferencer.search(image=path, topk=1)[0]
    assert best['img_path'] == path and best['score'] == pytest.approx(1, abs=1e-4)


def test_metadata_filters_and_comes_back(inferencer: RetrievalInferencer) -> None:
    names = sorted(p.name for p in IMAGES.iterdir())
    inferencer.build_index(IMAGES, {names[3]: dict(lon=24.9, domain='finland')}, progress=False)
    found = inferencer.search('water', topk=10, where=lambda r: r.get('domain') == 'finland')
    assert [Path(r['img_path']).name for r in found] == [names[3]]
    assert found[0]['lon'] == 24.9


def test_a_stale_gallery_is_refused(inferencer: RetrievalInferencer, tmp_path: Path) -> None:
    inferencer.build_index(IMAGES, progress=False).save(tmp_path / 'gallery')
    with torch.no_grad():
        next(inferencer.model.parameters()).add_(1e-3)
    inferencer._fingerprint = ''
    with pytest.raises(ValueError, match='stale gallery'):
        inferencer.use_gallery(Gallery.load(tmp_path / 'gallery'))


def test_weights_are_loaded_safely_and_checked(in_sample_dir: Path, tmp_path: Path) -> None:
    forget_runs()
    cfg = load_config(CONFIG, sample=True)
    model = RetrievalInferencer(cfg, device='cpu').model
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), tmp_path / 'good.pth')
    torch.save(dict(state_dict={'x': torch.zeros(1)}), tmp_path / 'other.pth')
    loaded = RetrievalInferencer(cfg, tmp_path / 'good.pth', device='cpu').model
    assert all(torch.equal(a, b) for a, b in zip(
        model.state_dict().values(), loaded.state_dict().values()))
    with pytest.raises(ValueError, match=r'other\.pth is of another model'):
        RetrievalInferencer(cfg, tmp_path / 'other.pth', device='cpu')
    (tmp_path / 'torn.pth').write_bytes((tmp_path / 'good.pth').read_bytes()[:2000])
    with pytest.raises(ValueError, match=r'cannot read the checkpoint .*torn\.pth'):
        RetrievalInferencer(cfg, tmp_path / 'torn.pth', device='cpu')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        resolve_checkpoint(str(tmp_path / 'nowhere.pth'))


def test_bad_pictures_and_bad_queries(inferencer: RetrievalInferencer, tmp_path: Path,
                                      capsys: pytest.CaptureFixture) -> None:
    Image.new('RGB', (64, 64), 'red').save(tmp_path / 'good.png')
    (tmp_path / 'bad.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'bad\.jpg'):
        inferencer.build_index(tmp_path, progress=False)
    assert len(inferencer.build_index(tmp_path, skip_bad=True, progress=False).ids) == 1
    assert '1 of 2 pictures could not be read' in capsys.readouterr().out
    for query in (dict(), dict(text='a', image='b'), dict(text=' ')):
        with pytest.raises(ValueError):
            inferencer.search(**query)
    with pytest.raises(FileNotFoundError, match='no folder'):
        inferencer.build_index(tmp_path / 'missing')


def test_registry_builds_the_same_model_as_the_runner(in_sample_dir: Path) -> None:
    cfg = load_config(CONFIG, sample=True)
    assert type(MODELS.build(cfg.model)).__name__ == 'UrbanCross'
