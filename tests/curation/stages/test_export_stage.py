"""The export of a curation, read back by what trains on it."""

import csv
import json
from pathlib import Path

import pytest

from tests.curation.curated import curate, make_images
from urbancross_mm.curation import ImageRecord, Manifest, Outcome, Record, Workspace, run_stage
from urbancross_mm.curation.stages.export_stage import (
    ExportStage,
    distinct_tags,
    read_manifests,
)
from urbancross_mm.curation.stages.published_layout import captions_table
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.datasets.converters.urbancross import Options, convert, find_csv
from urbancross_mm.datasets.splits import split_hash
from urbancross_mm.datasets.verification.verify import verify
from urbancross_mm.registry import CURATION
from urbancross_mm.structures.annotations import load_annotations

SPLITS = ('train', 'val', 'test', 'finetune', 'finetune_val')


@pytest.fixture
def out(tmp_path: Path) -> Path:
    curate(tmp_path, make_images(tmp_path))
    return tmp_path


def annotations(out: Path, suffix: str = 'json') -> dict[str, tuple[dict, list[dict]]]:
    return {
        split: load_annotations(str(out / f'annotations/mycity_{split}.{suffix}'))
        for split in SPLITS
    }


def test_what_was_found_out_is_in_the_annotations(out: Path) -> None:
    results = annotations(out)
    assert [len(results[split][1]) for split in SPLITS] == [17, 2, 5, 5, 2]
    items = {item['img_path']: item for split in SPLITS[:3] for item in results[split][1]}
    assert len(items) == 24
    item = items['city/tile_07.png']
    assert item['img_id'] == 'mycity/city/tile_07' and item['domain'] == 'mycity'
    assert item['captions'] == ['Пруд <b>', 'Place 7.'] and item['label'] == 'school'
    assert item['geo_tags'] == ['amenity of school', 'road of service, paved']
    assert item['lon'] == pytest.approx(150 / 111320, abs=1e-7) and item['score'] == 0.235
    assert item['segments'] == 'city/tile_07.json' and len(item['bounds']) == 4
    assert 'label' not in items['city/tile_08.png']


def test_the_metainfo_says_where_it_comes_from(out: Path) -> None:
    results = annotations(out)
    metainfo = results['val'][0]
    assert metainfo['split'] == 'val' and metainfo['dataset'] == metainfo['domain'] == 'mycity'
    assert metainfo['generator'].startswith('curation ') and metainfo['seed'] == 0
    assert metainfo['split_hashes'] == {
        split: split_hash([item['img_id'] for item in items])
        for split, (_, items) in results.items()
    }
    assert list(metainfo['sources']) == [
        f'manifest/{stage}.jsonl' for stage in ('score', 'segment', 'split')
    ]
    assert all(text.startswith('sha256:') for text in metainfo['sources'].values())
    assert metainfo['stages']['segment']['segmenter']['type'] == 'ColorSegmenter'
    assert metainfo['counts']['captions'] == 4 and str(out) not in json.dumps(metainfo)


def test_the_hash_of_a_manifest_depends_on_all_but_the_keys(tmp_path: Path) -> None:
    def hashed(**changes: object) -> str:
        fields = dict(image='a.jpg', key='1', outcome=Outcome(dict(score=1)), made_by=dict(b=1))
        Manifest(tmp_path / 'score.jsonl').write([Record(**{**fields, **changes})])
        stages, hashes = read_manifests(tmp_path)
        assert list(stages) == ['score'] and read_manifests(tmp_path, ['tile']) == ({}, {})
        return hashes['manifest/score.jsonl']

    assert hashed() == hashed(key='2')
    others = [hashed(image='b.jpg'), hashed(outcome=Outcome()), hashed(made_by={})]
    assert len({hashed(), *others}) == 4


@pytest.mark.parametrize(
    ('writer', 'captioner'),
    [('instructblip', 'TransformersCaptioner'), ('template', 'TemplateCaptioner')],
)
def test_the_table_is_named_after_the_writer(tmp_path: Path, writer: str, captioner: str) -> None:
    for kind in ('template', 'instructblip'):
        (tmp_path / f'{kind}_generation_my_refine.csv').write_text('old')
    Manifest(tmp_path / 'manifest/caption.jsonl').write(
        [Record('a.jpg', '', Outcome(), dict(stage='CaptionStage', captioner=captioner))]
    )
    images = [ImageRecord('a.jpg', dict(captions=['x'], split='train'))]
    run_stage(ExportStage('My'), images, Workspace(tmp_path, tmp_path))
    assert find_csv(tmp_path).name == f'{writer}_generation_my_refine.csv'
    assert [path.name for path in tmp_path.glob('*.csv')] == [find_csv(tmp_path).name]


def test_training_reads_it_and_the_verification_passes(out: Path) -> None:
    data = ImageTextDataset(
        'annotations/mycity_train.json',
        str(out),
        captions='each',
        pipeline=[dict(type='LoadImage'), dict(type='LoadSegments', num_segments=4)],
    )
    assert len(data) == 34
    item = data[0]
    assert item['img'].shape == (40, 48, 3) and item['segment_bits'].shape[:2] == (27, 32)
    assert 1 <= item['num_segments'] <= 4
    report = verify([str(out / f'annotations/mycity_{split}.json') for split in SPLITS], str(out))
    assert not report.failed, report.to_text()
    assert [finding.what for finding in report.findings] == [
        'captions that a training split has too'
    ]
    vocabulary = json.loads((out / 'annotations/mycity_vocab.json').read_text())
    assert {'school', '一所学校', '<unk>'} <= set(vocabulary['word2idx'])


def test_the_published_layout_gives_the_same_splits(out: Path, tmp_path: Path) -> None:
    table = find_csv(out)
    assert table.name == 'template_generation_mycity_refine.csv'
    rows = list(csv.DictReader(table.open(encoding='utf-8', newline='')))
    assert list(rows[0]) == ['image_name', 'description', 'title_multi_objects', 'lon', 'lat']
    assert rows[1]['description'] == 'Ein Wald; zwei Wege, "alt".; Place 1.'
    assert (
        rows[1]['title_multi_objects'] == 'amenity of school; surrounded by road of service paved;'
    )
    assert rows[0]['title_multi_objects'] == 'surrounded by road of service paved;'
    convert(Options(root=out, out=tmp_path / 'again', name='mycity'))
    for split, (_, items) in annotations(out).items():
        _, again = load_annotations(str(tmp_path / f'again/mycity_{split}.json'))
        assert [item['img_path'] for item in again] == [item['img_path'] for item in items]
        assert again[0]['captions'] == ['; '.join(items[0]['captions'])]
        assert again[0]['segments'] == items[0]['segments']


@pytest.mark.parametrize('format', ['json', 'parquet'])
def test_same_input_same_bytes(tmp_path: Path, format: str) -> None:
    contents = []
    for name in ('one', 'two'):
        out = tmp_path / name
        images = make_images(out)
        curate(out, images, format=format)
        if name == 'two':  # a second run in the same folder
            curate(out, images, format=format)
        contents.append(
            {
                path.relative_to(out): path.read_bytes()
                for path in [
                    *out.glob('annotations/*'),
                    *out.glob('*.csv'),
                    *out.glob('*_list.txt'),
                ]
            }
        )
    assert contents[0] == contents[1] and len(contents[0]) == 12
    items = annotations(out, format)['test'][1]
    assert (
        items[0]['bounds']
        and 'label'
        not in items[
            [item['img_path'] for item in items].index(
                next(item['img_path'] for item in items if not int(item['img_path'][-5]) % 2)
            )
        ]
    )


def test_what_is_no_longer_due_is_removed(out: Path) -> None:
    workspace = Workspace(out, out)
    images = [
        ImageRecord(f'city/tile_{n:02d}.png', dict(captions=['x'], split='train')) for n in range(3)
    ]
    own = out / 'annotations/other_val.json'
    own.write_text('mine')
    run_stage(ExportStage('mycity', format='parquet', layout=False), images, workspace)
    assert sorted(path.name for path in (out / 'annotations').iterdir()) == [
        'mycity_train.parquet',
        'mycity_vocab.json',
        'other_val.json',
    ]
    assert not list(out.glob('*_list.txt')) and not list(out.glob('*.csv'))


def test_an_image_without_caption_is_dropped(tmp_path: Path) -> None:
    images = [
        ImageRecord('a.jpg', dict(captions=['x'], split='train')),
        ImageRecord('b.jpg', dict(captions=[' '], split='train')),
        ImageRecord('c.jpg', dict(captions=[], split='val')),
    ]
    kept, report = run_stage(ExportStage('my'), images, Workspace(tmp_path, tmp_path))
    assert [image.name for image in kept] == ['a.jpg']
    assert report.reasons == {('dropped', 'no caption'): 2} and 'train: 1 images' in str(report)
    assert [path.name for path in (tmp_path / 'annotations').glob('my_val*')] == []


def test_a_domain_without_captions(tmp_path: Path) -> None:
    images = [ImageRecord(f'{name}.jpg', dict(split='train')) for name in 'ab']
    run_stage(ExportStage('my'), images, Workspace(tmp_path, tmp_path))
    _, items = load_annotations(
        str(tmp_path / 'annotations/my_train.json'), captions_required=False
    )
    assert [item['captions'] for item in items] == [[], []]
    assert not (tmp_path / 'annotations/my_vocab.json').exists()
    assert (tmp_path / 'train_list.txt').read_text() == 'a.jpg\nb.jpg\n'


def test_one_image(tmp_path: Path) -> None:
    none = dict(test=0, val=0, finetune=0, finetune_val=0)
    curate(tmp_path, make_images(tmp_path, 1), none)
    assert [path.name for path in sorted((tmp_path / 'annotations').iterdir())] == [
        'mycity_train.json',
        'mycity_vocab.json',
    ]


def test_mistakes_are_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    with pytest.raises(ValueError, match='no image'):
        ExportStage('my').decide([], workspace)
    with pytest.raises(ValueError, match='a.jpg.*SplitStage'):
        ExportStage('my').decide([ImageRecord('a.jpg', dict(captions=['x']))], workspace)
    for options in (
        dict(name='../up'),
        dict(name=''),
        dict(name='a', format='csv'),
        dict(name='a', min_count=0),
    ):
        with pytest.raises(ValueError, match='got'):
            ExportStage(**options)


def test_built_by_config() -> None:
    stage = CURATION.build(dict(type='ExportStage', name='mycountry'))
    assert stage.settings(Workspace(Path(), Path())) == dict(
        name='mycountry', format='json', layout=True, min_count=5
    )


def test_table_and_tags() -> None:
    assert (
        captions_table([ImageRecord('a.jpg', dict(captions=['x\ny, "z"']))])
        == 'image_name,description\na.jpg,"x\ny, ""z"""\n'
    )
    assert distinct_tags(dict(focus=['a', 'b'], around=['b', 'c'])) == ['a', 'b', 'c']
    assert distinct_tags({}) == []


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_all_outputs_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    images = [
        ImageRecord(f'{n}.jpg', dict(captions=['x'], split=split))
        for n, split in enumerate(('train', 'val', 'test'))
    ]
    ExportStage('my').decide(images, workspace)
    before = everything(tmp_path)
    assert len(before) == 8
    written = []

    def full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == len(before):
            raise OSError(28, 'No space left on device')
        path.write_bytes(data)

    monkeypatch.setattr('urbancross_mm.utils.files._write', full)
    with pytest.raises(OSError, match='No space left'):
        ExportStage('my').decide([item.plus(dict(captions=['y'])) for item in images], workspace)
    assert len(written) == len(before) and everything(tmp_path) == before


def test_two_images_with_one_id_are_refused(tmp_path: Path) -> None:
    images = [
        ImageRecord(name, dict(captions=['x'], split=split))
        for name, split in (('a.jpg', 'train'), ('a.png', 'test'), ('b.jpg', 'val'))
    ]
    with pytest.raises(ValueError, match=r"a\.jpg.*a\.png.*'my/a'"):
        ExportStage('my').decide(images, Workspace(tmp_path, tmp_path))
    assert not everything(tmp_path)
