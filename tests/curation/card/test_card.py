"""Dataset cards: of a curated set, of any set, and of broken ones."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.curation.curated import curate, make_images
from tests.datasets import tiny
from urbancross_mm.curation.card import (
    find_annotations,
    make_card,
    to_html,
    to_markdown,
    write_card,
)
from urbancross_mm.curation.card.blocks import Card, Section, Share, Table, Text, value_text
from urbancross_mm.curation.card.curation_facts import reasons, scores, stages
from urbancross_mm.curation.core.records import Outcome, Record
from urbancross_mm.structures.segment_masks import write_sidecar


@pytest.fixture(scope='module')
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('curated') / 'data'
    curate(out, make_images(out))
    return out


@pytest.fixture
def data(curated: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(curated, tmp_path / 'data'))


def card_of(data: Path, **options: object) -> Card:
    return make_card(find_annotations(data), data, **options)


def section(card: Card, title: str) -> Section:
    return next(section for section in card.sections if section.title == title)


def rows(card: Card, title: str, table: int = 0) -> list[list]:
    tables = [block for block in section(card, title).blocks if isinstance(block, Table)]
    return [list(row) for row in tables[table].rows]


class Page(HTMLParser):
    """Collects tags, links and text; complains about a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ''
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ('src', 'href')]
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_card_of_a_curated_set(curated: Path) -> None:
    card = card_of(curated)
    assert card.title == 'mycity'
    assert rows(card, 'Size') == [
        ['train', 17, 34, 21, 17, 0, 17, 8, 17],
        ['val', 2, 4, 4, 2, 0, 2, 1, 2],
        ['test', 5, 10, 9, 5, 0, 5, 3, 5],
        ['finetune', 5, 10, 8, 5, 0, 5, 1, 5],
        ['finetune_val', 2, 4, 3, 2, 0, 2, 0, 2],
    ]
    assert rows(card, 'Tags and classes')[:2] == [
        ['road of service, paved', 24, Share(1.0)],
        ['amenity of school', 12, Share(0.5)],
    ]
    assert rows(card, 'Words', 1)[0] == ['place', 24, Share(24 / 28)]
    assert rows(card, 'Words')[1][-1] == Share(2 / 11)  # the numbers of the two places
    assert [row[0] for row in rows(card, 'Curation')] == ['score', 'segment', 'split', 'export']
    origin = {row[0]: row[1] for row in rows(card, 'Origin')}
    assert origin['seed'] == '0' and 'ColorSegmenter' in origin['stages: segment']
    assert origin['split_hashes: test'].startswith('sha256:')
    assert [section.title for section in card.sections if 'Samples' in section.title] == [
        f'Samples of {split}' for split in ('train', 'val', 'test')
    ]


def test_html_needs_nothing_else(curated: Path) -> None:
    text = to_html(card_of(curated))
    page = Page(text)
    assert not page.open and 'script' not in page.tags and page.tags.count('img') > 15
    assert all(link.startswith('data:image/png;base64,') for link in page.links)
    assert '一所学校，有树。' in page.text and 'Пруд <b>' in page.text and 'b' not in page.tags
    assert 'http' not in text and str(curated) not in text


def test_same_files_same_bytes_wherever_they_lie(curated: Path, data: Path) -> None:
    (data / 'images/city/tile_03.png').unlink()
    moved = Path(shutil.copytree(data, data.parent / 'moved'))
    page = to_html(card_of(data, number=1))
    assert page == to_html(card_of(moved, number=1, workers=2))
    assert page != to_html(card_of(data, number=1, seed=3))


def test_markdown_with_images_beside_it(curated: Path, tmp_path: Path) -> None:
    written = write_card(card_of(curated), tmp_path / 'my card.md')
    text = written[0].read_text(encoding='utf-8')
    names = re.findall(r'!\[[^\]]*\]\(([^)]+)\)', text)
    assert sorted(names) == sorted(path.name for path in written[1:])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, 'my card.md'])
    assert 'my-card_map.png' in names and '| train | 17 | 34 |' in text
    assert 'Пруд &lt;b&gt;' in text


def test_markdown_shows_text_as_it_is() -> None:
    card = Card('a_b', [Section('s', [Text('1 < 2\n*x*'), Table(['|'], [['a|b'], [Share(0.5)]])])])
    text, figures = to_markdown(card, 'x')
    assert figures == {} and text == (
        '# a\\_b\n\n## s\n\n1 &lt; 2 \\*x\\*\n\n| \\| |\n| --- |\n| a\\|b |\n| 50.0 % |\n'
    )


def test_leaks_are_found(data: Path) -> None:
    path = data / 'annotations/mycity_test.json'
    content = json.loads(path.read_text())
    train = json.loads((data / 'annotations/mycity_train.json').read_text())['data_list']
    copied = train[0]['img_path']
    shutil.copy(data / 'images' / copied, data / 'images/copy.png')
    content['data_list'] += [
        train[1],
        dict(img_id='mycity/copy', img_path='copy.png', captions=['copy']),
    ]
    path.write_text(json.dumps(content))
    results = {row[1]: row for row in rows(card_of(data), 'Leakage and defects')}
    assert results['image in two splits'][0] == 'error'
    assert results['identical file in two splits'][2] == 2  # of train, and of finetune within it
    assert section(card_of(data), 'Leakage and defects').blocks[-1].text == 'There are errors.'
    quick = {row[1] for row in rows(card_of(data, pixels=False), 'Leakage and defects')}
    assert 'image in two splits' in quick and 'identical file in two splits' not in quick


def test_damage_is_shown_and_ends_nothing(data: Path) -> None:
    items = json.loads((data / 'annotations/mycity_test.json').read_text())['data_list']
    (data / 'images' / items[0]['img_path']).write_bytes(b'no image')
    (data / 'segments' / items[1]['segments']).write_text('{')
    write_sidecar(
        data / 'segments' / items[2]['segments'],
        dict(image_size=[40, 48], size=[40, 48], source='sam:vit_h', segments=[]),
    )
    card = card_of(data)
    results = {row[1]: row for row in rows(card, 'Leakage and defects')}
    assert results['unreadable image'][2] == 1
    assert results['segment file missing, broken or of another size'][2] == 1
    lines = [sample.lines for sample in section(card, 'Samples of test').blocks[0].samples]
    assert [line[-1] for line in lines[:3]] == [
        '(image cannot be read)',
        '(segments cannot be read)',
        '(no segment)',
    ]


def test_any_dataset_in_the_schema(tmp_path: Path) -> None:
    tiny.write(tmp_path, [tiny.item('a', ['x', 'y | z']), tiny.item('b', [' '])])
    card = make_card([tmp_path / 'annotations/tiny.json'], tmp_path)
    titles = [section.title for section in card.sections]
    assert titles == [
        'Size',
        'Captions',
        'Words',
        'Tags and classes',
        'Locations',
        'Leakage and defects',
        'Curation',
        'Samples of train',
        'Origin',
    ]
    assert rows(card, 'Size') == [['train', 1, 2, 2, 0, 0, 0, 0, 0]]
    assert rows(card, 'Leakage and defects')[0][:3] == ['error', 'wrong item', 1]
    assert 'no record of a curation' in to_html(card)


def test_recordings_are_counted_and_named(tmp_path: Path) -> None:
    items = [tiny.item('a', ['x', 'y']), tiny.item('b', ['z'])]
    items[0]['audio_paths'] = ['one.flac', 'two.flac']
    items[1]['audio_paths'] = ['one.flac']
    tiny.write(tmp_path, items)
    card = make_card([tmp_path / 'annotations/tiny.json'], tmp_path, pixels=False)
    assert rows(card, 'Size')[0][-1] == 2
    text = to_html(card)
    assert 'spoken: one.flac and 1 more' in text and '>recordings<' in text


def test_words_are_new_to_train_not_to_trainval(tmp_path: Path) -> None:
    texts = dict(train=['a road'], val=['a new road'], trainval=['a road', 'a new road'])
    paths = []
    for split, captions in texts.items():
        tiny.write(tmp_path, [tiny.item('a', captions)], split=split)
        paths.append(tmp_path / f'annotations/tiny_{split}.json')
        (tmp_path / 'annotations/tiny.json').rename(paths[-1])
    assert [row[4] for row in rows(make_card(find_annotations(tmp_path), tmp_path), 'Words')] == [
        '',
        Share(1 / 3),
        Share(1 / 5),
    ]
    only = make_card(paths[2:], tmp_path)
    assert section(only, 'Words').blocks[0].columns[4] == 'running words that trainval lacks'


def test_a_domain_without_captions(tmp_path: Path) -> None:
    item = dict(tiny.item('a', []), lon=1.0, lat=2.0)
    tiny.write(tmp_path, [item])
    card = make_card([tmp_path / 'annotations/tiny.json'], tmp_path)
    assert 'The images have no captions.' in to_html(card)
    assert 'Words' not in [section.title for section in card.sections]
    assert rows(card, 'Size')[0][1] == 1 and len(section(card, 'Locations').blocks) == 2


def test_two_datasets_side_by_side(curated: Path, tmp_path: Path) -> None:
    paths = []
    for name in ('finland_test', 'spain_test'):
        paths.append(tmp_path / f'{name}.json')
        shutil.copy(curated / 'annotations/mycity_test.json', paths[-1])
    card = make_card(paths, curated)
    assert [row[0] for row in rows(card, 'Size')] == ['finland_test', 'spain_test']


def record(name: str, status: str = 'kept', reason: str = '', **fields: object) -> Record:
    return Record(name, 'key', Outcome(fields, status, reason), dict(stage='MyStage'))


def test_reasons_that_differ_in_numbers_become_one() -> None:
    few = {str(n): record(str(n), 'dropped', f'score 0.{n} is low') for n in range(3)}
    assert len(reasons(few)) == 3
    many = {str(n): record(str(n), 'dropped', f'score 0.{n} is low') for n in range(30)}
    many['x'] = record('x', 'failed', 'OSError: torn')
    many['y'] = record('y', 'kept', 'no mask found')
    assert list(reasons(many).items()) == [
        (('dropped', 'score … is low'), 30),
        (('failed', 'OSError: torn'), 1),
        (('kept', 'no mask found'), 1),
    ]
    letters = {f'{a}{b}': record('', 'failed', f'{a}{b}') for a in 'abcdef' for b in 'abcdef'}
    assert len(reasons(letters)) == 21 and reasons(letters)['failed', 'other reasons'] == 16


def test_scores_of_what_the_filter_kept_and_dropped() -> None:
    manifests = dict(
        score={str(n): record(str(n), score=n / 10) for n in range(10)},
        filter={str(n): record(str(n), 'kept' if n > 6 else 'dropped') for n in range(10)},
        segment={'9': record('9', num_segments=0, segment_scores=[])},
    )
    result = scores(manifests)
    assert [row[:3] for row in result.blocks[0].rows] == [
        ['kept by the filter', 3, '0.7000'],
        ['dropped by the filter', 7, '0.0000'],
    ]
    assert [block.name for block in result.blocks[1:]] == ['scores', 'segment-counts']
    assert stages(manifests).blocks[0].rows[1] == ['filter', 'MyStage', 10, 3, 7, 0]
    assert scores({}).blocks == []


def test_the_files_of_a_folder(curated: Path, data: Path, tmp_path: Path) -> None:
    assert [path.stem for path in find_annotations(curated)] == [
        f'mycity_{split}' for split in ('train', 'val', 'test', 'finetune', 'finetune_val')
    ]
    shutil.copy(data / 'annotations/mycity_val.json', data / 'annotations/other_val.json')
    with pytest.raises(ValueError, match='mycity, other'):
        find_annotations(data)
    with pytest.raises(FileNotFoundError, match='annotations'):
        find_annotations(tmp_path / 'none')
    (tmp_path / 'empty/annotations').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='<name>_<split>.*annotations'):
        find_annotations(tmp_path / 'empty')


def test_what_systems_leave_is_no_data(data: Path) -> None:
    """macOS writes ._a beside a on other file systems."""
    before = to_html(card_of(data))
    for name in ('annotations/._mycity_train.json', 'manifest/._score.jsonl'):
        (data / name).write_bytes(b'\x00\x05\x16\x07')
    assert to_html(card_of(data)) == before


@pytest.mark.parametrize(
    ('stage', 'key', 'value'),
    [
        ('score', 'score', 'high'),
        ('score', 'score', float('nan')),
        ('segment', 'segment_scores', 3),
        ('segment', 'segment_scores', [0.5, None, float('inf')]),
        ('segment', 'num_segments', 'two'),
        ('segment', 'segment_scores', [[1]]),
    ],
)
def test_a_wrong_number_in_a_manifest_is_named(
    data: Path, stage: str, key: str, value: object
) -> None:
    path = data / f'manifest/{stage}.jsonl'
    first, *others = path.read_text().splitlines(keepends=True)
    record = json.loads(first)
    record['fields'][key] = value
    path.write_text(json.dumps(record) + '\n' + ''.join(others))
    with pytest.raises(ValueError, match=f'{path}, image .*{key!r} must be'):
        card_of(data)


def test_mistakes_are_named(curated: Path, data: Path, tmp_path: Path) -> None:
    paths = find_annotations(data)
    with pytest.raises(FileNotFoundError, match='none.json'):
        make_card([tmp_path / 'none.json'], data)
    with pytest.raises(FileNotFoundError, match='images'):
        make_card(paths, tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='manifest'):
        make_card(paths, data, tmp_path / 'none')
    with pytest.raises(ValueError, match='got -1'):
        make_card(paths, data, number=-1)
    tiny.write(tmp_path / 'bad', [dict(img_id='a')], images=False)
    with pytest.raises(ValueError, match='item'):
        make_card([tmp_path / 'bad/annotations/tiny.json'], tmp_path / 'bad')
    (data / 'manifest/split.jsonl').write_text('nonsense\n{}\n')
    with pytest.raises(ValueError, match='split.jsonl, line 1'):
        make_card(paths, data)
    for out, format in (('card.pdf', None), ('card', None), ('card.html', 'md')):
        with pytest.raises(ValueError, match='card'):
            write_card(Card('x'), tmp_path / out, format)


def test_values_as_text() -> None:
    assert [value_text(value) for value in (1234567, 2.0, 'x', Share(0.125))] == [
        '1,234,567',
        '2.00',
        'x',
        '12.5 %',
    ]


def test_records_of_another_run_are_noted(data: Path) -> None:
    def notes() -> list[str]:
        blocks = section(card_of(data), 'Curation').blocks
        return [block.text for block in blocks if isinstance(block, Text)]

    assert notes() == []
    manifest = data / 'manifest/score.jsonl'
    manifest.write_text(manifest.read_text().replace('"score": 0.2', '"score": 0.3', 1))
    (note,) = notes()
    assert 'score' in note


def test_an_unfinished_curation_is_noted(tmp_path: Path) -> None:
    (tmp_path / 'manifest').mkdir()
    with pytest.raises(FileNotFoundError, match='last_run.txt'):
        find_annotations(tmp_path)
