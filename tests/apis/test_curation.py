"""A curation from a config: the whole chain, a kill, and a user's mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.runs import CONFIGS, ROOT
from urbancross_mm.apis import load_config
from urbancross_mm.apis.curation import build_stages, run_curation
from urbancross_mm.curation import Manifest
from urbancross_mm.datasets import ImageTextDataset

pytest.importorskip('shapely')
NO_WEIGHTS = CONFIGS / 'curation/no-weights.py'
RECIPES = sorted(path.name for path in (CONFIGS / 'curation').glob('*.py'))


@pytest.fixture
def tiles(in_sample_dir: Path) -> Path:
    return in_sample_dir / 'data/sample/urbancross/Finland/images'


def curate(tiles: Path, out: Path, config: Path = NO_WEIGHTS, **options: object) -> list:
    changes = options.pop('changes', {})
    return run_curation(load_config(config, changes), tiles, out, show=lambda text: None, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but what only tells of the last run."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()
            and path.name not in ('.lock', 'last_run.txt')}


@pytest.mark.parametrize('name', RECIPES)
def test_recipes_build(name: str) -> None:
    stages = build_stages(load_config(CONFIGS / 'curation' / name))
    assert [stages[0].name, stages[-1].name] == ['tile', 'export']


def test_from_tiles_and_a_map_to_a_data_set(tiles: Path, tmp_path: Path) -> None:
    reports = curate(tiles, tmp_path / 'out')
    count = len(list(tiles.glob('*.jpg')))
    assert [report.stage for report in reports] == [
        'tile', 'tag', 'caption', 'refine', 'segment', 'split', 'export']
    assert reports[-1].counts['kept'] == count
    data = ImageTextDataset(
        ann_file='annotations/mycountry_train.json', data_root=str(tmp_path / 'out'),
        captions='all', pipeline=[])
    tags = Manifest(tmp_path / 'out/manifest/tag.jsonl').read()
    for item in (data.get_data_info(number) for number in range(len(data))):
        said = ' '.join(item['captions']).lower()
        focus = tags[Path(item['img_path']).name].outcome.fields['focus']
        assert Path(item['img_path']).is_file() and Path(item['segments_path']).is_file()
        assert not focus or focus[0].split(' of ')[-1].split()[0] in said
    assert 0 < len(data) < count


def test_only_what_a_change_touches_is_made_again(tiles: Path, tmp_path: Path) -> None:
    def made(**changes: object) -> dict[str, int]:
        reports = curate(tiles, tmp_path, changes=changes)
        return {report.stage: report.made for report in reports[:5]}
    count = made()['tile']
    assert made() == dict.fromkeys(['tile', 'tag', 'caption', 'refine', 'segment'], 0)
    again = made(**{'stages.2.captioner.max_phrases': 1})
    assert again['caption'] == count and again['tile'] == again['tag'] == again['segment'] == 0
    again = made(**{'stages.2.captioner.max_phrases': 1, 'stages.4.topk': 2})
    assert again == dict(tile=0, tag=0, caption=0, refine=0, segment=count)


def test_a_killed_run_ends_with_the_same_bytes(tiles: Path, tmp_path: Path) -> None:
    command = [sys.executable, '-W', 'ignore', str(ROOT / 'tools/curate.py'), str(NO_WEIGHTS),
               '--in', str(tiles), '--out', str(tmp_path / 'killed')]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                 env=dict(os.environ, OMP_NUM_THREADS='1'))
    for stage in ('tile', 'segment'):
        run = subprocess.Popen(command, **quiet)
        manifest = tmp_path / f'killed/manifest/{stage}.jsonl'
        while run.poll() is None and not (manifest.is_file() and manifest.stat().st_size):
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.wait()
    with open(tmp_path / 'killed/manifest/segment.jsonl', 'ab') as file:
        file.write(b'{"picture": "half a li')
    assert subprocess.run(command, **quiet).returncode == 0
    curate(tiles, tmp_path / 'whole')
    killed, whole = contents(tmp_path / 'killed'), contents(tmp_path / 'whole')
    assert killed.keys() == whole.keys()
    assert [name for name in whole if killed[name] != whole[name]] == []


def test_single_stages_and_a_limit(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='stage tile has not been run on .* pictures'):
        curate(tiles, tmp_path, only=['tag'])
    curate(tiles, tmp_path, only=['tile'], limit=5)
    reports = curate(tiles, tmp_path, only=['tag', 'caption'], limit=5)
    assert [(report.stage, report.total, report.made) for report in reports] == [
        ('tile', 5, 0), ('tag', 5, 5), ('caption', 5, 5)]
    assert not (tmp_path / 'manifest/refine.jsonl').exists()
    with pytest.raises(ValueError, match="no stage 'filter' in the config; it has tile, tag"):
        curate(tiles, tmp_path, only=['filter'])


def test_mistakes_end_before_any_work(tiles: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    with pytest.raises(FileNotFoundError, match='no map file .*none.geojson'):
        curate(tiles, out, changes={'stages.1.files': ['none.geojson']})
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere'):
        curate(tmp_path / 'nowhere', out)
    with pytest.raises(FileNotFoundError, match='sam_vit_h'):
        curate(tiles, out, changes={'stages.4.segmenter': dict(
            type='SamSegmenter', checkpoint='weights/sam_vit_h.pth')})
    assert not out.exists()
    with pytest.raises(ValueError, match='has no stages'):
        build_stages(Config(dict(model=1)))
    with pytest.raises(ValueError, match='begin with TileStage'):
        build_stages(Config(dict(stages=[dict(type='RefineStage')])))


def test_records_say_what_made_them(tiles: Path, tmp_path: Path) -> None:
    curate(tiles, tmp_path, only=['tile', 'tag', 'caption'], limit=3)
    lines = (tmp_path / 'manifest/caption.jsonl').read_text().splitlines()
    first = json.loads(lines[0])
    assert first['made_by']['captioner'] == 'TemplateCaptioner' and first['status'] == 'kept'
    assert str(tiles) not in ''.join(lines)
