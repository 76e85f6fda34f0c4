"""A curation from a config: the whole chain, a kill, and a user's mistakes."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.ranks import processes
from tests.runs import CONFIGS
from urbancross_mm.apis import load_config
from urbancross_mm.curation import Manifest, TemplateCaptioner
from urbancross_mm.curation.config import build_stages, load_curation
from urbancross_mm.curation.run import run_curation
from urbancross_mm.datasets import ImageTextDataset

pytest.importorskip('shapely')
NO_WEIGHTS = CONFIGS / 'curation/no-weights.py'
CURATION_CONFIGS = sorted(path.name for path in (CONFIGS / 'curation').glob('*.py'))


@pytest.fixture
def tiles(in_sample_dir: Path) -> Path:
    return in_sample_dir / 'data/sample/urbancross/Finland/images'


def curate(tiles: Path, out: Path, config: Path = NO_WEIGHTS, **options: object) -> list:
    changes = options.pop('changes', {})
    return run_curation(load_config(config, changes), tiles, out, show=lambda text: None, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but what only tells of the last run."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.name not in ('.lock', 'last_run.txt')
    }


@pytest.mark.parametrize('name', CURATION_CONFIGS)
def test_configs_build(name: str) -> None:
    stages = build_stages(load_config(CONFIGS / 'curation' / name))
    assert [stages[0].name, stages[-1].name] == ['tile', 'export']


def test_from_tiles_and_a_map_to_a_dataset(tiles: Path, tmp_path: Path) -> None:
    reports = curate(tiles, tmp_path / 'out')
    count = len(list(tiles.glob('*.jpg')))
    assert [report.stage for report in reports] == [
        'tile',
        'tag',
        'caption',
        'refine',
        'segment',
        'split',
        'export',
    ]
    assert reports[-1].counts['kept'] == count
    data = ImageTextDataset(
        ann_file='annotations/mycountry_train.json',
        data_root=str(tmp_path / 'out'),
        captions='all',
        pipeline=[],
    )
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
    other = {'stages.2.captioner.focus_templates': ['See {focus}.']}
    again = made(**other)
    assert again['caption'] == count and again['tile'] == again['tag'] == again['segment'] == 0
    again = made(**other, **{'stages.4.topk': 2})
    assert again == dict(tile=0, tag=0, caption=0, refine=0, segment=count)


def test_a_killed_run_ends_with_the_same_bytes(tiles: Path, tmp_path: Path) -> None:
    ends = []
    for stage in ('tile', 'segment'):
        run = processes().Process(target=curate, args=(tiles, tmp_path / 'killed'))
        run.start()
        manifest = tmp_path / f'killed/manifest/{stage}.jsonl'
        while run.is_alive() and not (manifest.is_file() and manifest.stat().st_size):
            time.sleep(0.002)
        run.kill()
        run.join()
        ends.append(run.exitcode)
    assert -signal.SIGKILL in ends
    with open(tmp_path / 'killed/manifest/segment.jsonl', 'ab') as file:
        file.write(b'{"picture": "half a li')
    (tmp_path / 'killed/images/.torn.jpg.1.tmp').write_bytes(b'half an image')
    curate(tiles, tmp_path / 'killed')
    curate(tiles, tmp_path / 'whole')
    killed, whole = contents(tmp_path / 'killed'), contents(tmp_path / 'whole')
    assert killed.keys() == whole.keys()
    assert [name for name in whole if killed[name] != whole[name]] == []


def test_single_stages_and_a_limit(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='stage tile'):
        curate(tiles, tmp_path, only=['tag'])
    curate(tiles, tmp_path, only=['tile'], limit=5)
    reports = curate(tiles, tmp_path, only=['tag', 'caption'], limit=5)
    assert [(report.stage, report.total, report.made) for report in reports] == [
        ('tile', 5, 0),
        ('tag', 5, 5),
        ('caption', 5, 5),
    ]
    assert not (tmp_path / 'manifest/refine.jsonl').exists()
    with pytest.raises(ValueError, match="'filter'.* tile, tag"):
        curate(tiles, tmp_path, only=['filter'])


def test_a_limit_does_not_replace_a_finished_set(tiles: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    curate(tiles, out, limit=6)
    curate(tiles, out)
    whole = contents(out)
    curate(tiles, tmp_path / 'whole')
    assert whole == contents(tmp_path / 'whole')
    with pytest.raises(ValueError, match='first 5 images'):
        curate(tiles, out, limit=5)
    curate(tiles, out, only=['segment'], limit=5)
    assert contents(out) == whole


def test_only_stages_of_the_config_are_named(tiles: Path, tmp_path: Path) -> None:
    cfg = load_config(NO_WEIGHTS)
    run_curation(cfg, tiles, tmp_path, show=str)
    whole = contents(tmp_path)
    without = Config(
        dict(stages=[stage for stage in cfg.stages if stage['type'] != 'SegmentStage'])
    )
    run_curation(without, tiles, tmp_path, show=str)
    metainfo = json.loads((tmp_path / 'annotations/mycountry_train.json').read_text())['metainfo']
    assert list(metainfo['stages']) == ['caption', 'refine', 'split', 'tag', 'tile']
    assert len(metainfo['sources']) == 5 and not (tmp_path / 'manifest/segment.jsonl').exists()
    reports = run_curation(cfg, tiles, tmp_path, show=str)
    assert reports[4].stage == 'segment' and reports[4].made == 0
    again = contents(tmp_path)
    assert {name: again[name] for name in whole} == whole


def test_a_copy_of_the_tiles_gives_the_same_annotations(tiles: Path, tmp_path: Path) -> None:
    (tmp_path / 'copy/images').mkdir(parents=True)
    (tmp_path / 'copy/tags.geojson').write_bytes((tiles.parent / 'tags.geojson').read_bytes())
    for path in tiles.iterdir():
        (tmp_path / 'copy/images' / path.name).write_bytes(path.read_bytes())
    results = []
    for source, name in ((tiles, 'one'), (tmp_path / 'copy/images', 'two')):
        curate(source, tmp_path / name)
        results.append(
            {
                path: content
                for path, content in contents(tmp_path / name).items()
                if path.startswith('annotations/')
            }
        )
    assert results[0] and results[0] == results[1]


def test_mistakes_end_before_any_work(tiles: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    with pytest.raises(FileNotFoundError, match='none.geojson'):
        curate(tiles, out, changes={'stages.1.files': ['none.geojson']})
    with pytest.raises(FileNotFoundError, match='nowhere'):
        curate(tmp_path / 'nowhere', out)
    for device in ('cuda:99', 'meta-physics'):
        with pytest.raises(ValueError, match=f"'{device}'"):
            curate(tiles, out, device=device)
    with pytest.raises(FileNotFoundError, match='sam_vit_h'):
        curate(
            tiles,
            out,
            changes={
                'stages.4.segmenter': dict(type='SamSegmenter', checkpoint='weights/sam_vit_h.pth')
            },
        )
    assert not out.exists()
    with pytest.raises(ValueError, match='stages'):
        build_stages(Config(dict(model=1)))
    with pytest.raises(ValueError, match='TileStage'):
        build_stages(Config(dict(stages=[dict(type='RefineStage')])))


@pytest.mark.parametrize('inside', ['', 'curated/out'])
def test_no_output_among_the_tiles(tiles: Path, inside: str) -> None:
    with pytest.raises(ValueError, match='--out.*--in'):
        curate(tiles, tiles / 'x/..' / inside)
    assert not (tiles / 'manifest').exists() and not (tiles / 'curated').exists()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'stages.0.sise': 3}, "stage TileStage .*: .* 'sise'"),
        ({'stages.2.captioner.tone': 3}, "stage CaptionStage .*: .* 'tone'"),
        ({'stages.3.type': 'RefinStage'}, 'stage RefinStage: .* not in the .* registry'),
    ],
)
def test_unknown_options_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_stages(load_config(NO_WEIGHTS, changes))


def test_stages_are_named_in_options() -> None:
    cfg = load_curation(NO_WEIGHTS, {'segment.area': 0.5, 'stages.0.size': 64, 'split.seed': 3})
    assert (cfg.stages[4].area, cfg.stages[0].size, cfg.stages[5].seed) == (0.5, 64, 3)
    for key in ('area', 'segments.area', 'scorer.parts', 'tile', 'custom_imports.imports'):
        with pytest.raises(ValueError, match=f'{key}.*tile, t'):
            load_curation(NO_WEIGHTS, {key: 1})
    with pytest.raises(ValueError, match='stages.99.size.*no-weights.py'):
        load_curation(NO_WEIGHTS, {'stages.99.size': 3})


def test_an_export_needs_splits() -> None:
    stages = [dict(type='TileStage'), dict(type='ExportStage', name='x')]
    with pytest.raises(ValueError, match='SplitStage'):
        build_stages(Config(dict(stages=stages)))


def test_all_missing_files_are_named_at_once(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='map.osm.pbf.*; .*instructblip.*; .*clip.*; .*sam'):
        run_curation(load_curation(CONFIGS / 'curation/urbancross.py'), tiles, tmp_path / 'out')


def test_an_error_stands_in_the_last_report(tiles: Path, tmp_path: Path) -> None:
    curate(tiles, tmp_path)
    with pytest.raises(ValueError, match='no image'):
        curate(tiles, tmp_path, changes={'stages.0.min_side': 10_000})
    report = (tmp_path / 'last_run.txt').read_text()
    assert report.startswith('tile: ') and 'ValueError: no image' in report
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='--out .*file'):
        curate(tiles, tmp_path / 'file')


def test_captions_come_before_their_scores() -> None:
    scorer = dict(
        type='RetrieverScorer',
        model=dict(type='CrossModalRetriever'),
        pipeline=[dict(type='TokenizeText')],
    )
    first, last = (
        dict(type='TileStage'),
        dict(type='SegmentStage', segmenter=dict(type='ColorSegmenter'), scorer=scorer),
    )
    caption = dict(type='CaptionStage', captioner=dict(type='TemplateCaptioner'))
    assert len(build_stages(Config(dict(stages=[first, caption, last])))) == 3
    for stages in (
        [first, last],
        [first, last, caption],
        [first, dict(type='ScoreStage', scorer=scorer), caption],
    ):
        with pytest.raises(ValueError, match='CaptionStage'):
            build_stages(Config(dict(stages=stages)))


def test_a_missing_extra_is_named(tiles: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, 'shapely', None)
    with pytest.raises(ImportError, match='shapely.*pip install'):
        curate(tiles, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_what_failed_is_passed_over_by_single_stages(
    tiles: Path, tmp_path: Path, monkeypatch
) -> None:
    def fail(self: TemplateCaptioner, images: list, pixels: list) -> list:
        if any(image.name == first for image in images):
            raise OSError('torn')
        return caption(self, images, pixels)

    caption, first = TemplateCaptioner.caption, min(path.name for path in tiles.glob('*.jpg'))
    with monkeypatch.context() as patch:
        patch.setattr(TemplateCaptioner, 'caption', fail)
        bad = curate(tiles, tmp_path, only=['tile', 'tag', 'caption'])[-1].counts['failed']
    reports = curate(tiles, tmp_path, only=['refine'])
    assert reports[2].counts['failed'] == bad == 1 and reports[2].made == 0
    assert reports[3].total == reports[2].total - bad
    assert curate(tiles, tmp_path)[2].made == bad


def test_records_say_what_made_them(tiles: Path, tmp_path: Path) -> None:
    curate(tiles, tmp_path, only=['tile', 'tag', 'caption'], limit=3)
    lines = (tmp_path / 'manifest/caption.jsonl').read_text().splitlines()
    first = json.loads(lines[0])
    assert first['made_by']['captioner'] == 'TemplateCaptioner' and first['status'] == 'kept'
    assert str(tiles) not in ''.join(lines)


def test_old_names_of_options_still_work() -> None:
    cfg = load_curation(NO_WEIGHTS, {'split.block_metres': 300, 'split.margin_metres': 5})
    with pytest.warns(FutureWarning, match='block_metres.*block_meters'):
        (split,) = (stage for stage in build_stages(cfg) if stage.name == 'split')
    assert (split.block_meters, split.margin_meters) == (300, 5)
