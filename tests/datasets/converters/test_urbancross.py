"""The country layout: its CSV, its lists and the split that does not leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.converters.layouts import (
    names_of,
    read,
    write_country,
    write_csv,
    write_image,
    write_lines,
)
from urbancross_mm.datasets.converters.urbancross import (
    SPLITS,
    TAG_COLUMN,
    Options,
    convert,
    parse_tags,
)

CSV = 'instructblip_generation_finland_refine.csv'


def options(root: Path, tmp_path: Path, **kwargs) -> Options:
    return Options(**{**dict(root=root, out=tmp_path / 'out', name='finland'), **kwargs})


def split_names(out: Path) -> dict[str, set[str]]:
    return {
        split: names_of(out / f'finland_{split}.json')
        for split in SPLITS
        if (out / f'finland_{split}.json').is_file()
    }


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_nested_split_never_leaks(tmp_path, seed):
    convert(options(write_country(tmp_path / 'Finland', 50), tmp_path, seed=seed))

    parts = split_names(tmp_path / 'out')
    assert {split: len(names) for split, names in parts.items()} == dict(
        train=35, val=5, test=10, finetune=10, finetune_val=5
    )
    assert not parts['test'] & (parts['train'] | parts['val'])
    assert not parts['test'] & (parts['finetune'] | parts['finetune_val'])
    assert not parts['train'] & parts['val'] and not parts['finetune'] & parts['finetune_val']
    assert parts['train'] | parts['val'] | parts['test'] == {f'a{n}_FI_19.jpg' for n in range(50)}


def test_same_seed_same_bytes_whatever_the_order_of_the_rows(tmp_path):
    rows = [(f'a{n}_FI_19.jpg', f'place {n}') for n in range(30)]
    for run, (order, seed) in enumerate([(rows, 0), (rows, 0), (rows[::-1], 0), (rows, 1)]):
        root = tmp_path / str(run)
        write_csv(root / CSV, order)
        convert(options(root, tmp_path, out=root / 'out', seed=seed))

    test = [split_names(tmp_path / str(run) / 'out')['test'] for run in range(4)]
    assert test[0] == test[1] == test[2] != test[3]
    files = [(tmp_path / str(run) / 'out/finland_test.json').read_bytes() for run in range(2)]
    assert files[0] == files[1]


def test_manifest_of_the_splits_is_in_every_file(tmp_path):
    convert(options(write_country(tmp_path / 'Finland'), tmp_path))

    hashes = [read(tmp_path / f'out/finland_{split}.json')[0]['split_hashes'] for split in SPLITS]
    assert all(item == hashes[0] for item in hashes)
    assert set(hashes[0]) == set(SPLITS)


def test_lists_decide_and_rows_keep_the_order_of_the_table(tmp_path):
    root = write_country(tmp_path / 'Finland', 6)
    name = 'a{}_FI_19.jpg'.format
    write_lines(root / 'train_list.txt', [name(4), name(0), name(2), 'gone.jpg'])
    write_lines(root / 'val_list.txt', [name(1)])
    write_lines(root / 'test_list.txt', [name(3)])
    counts = convert(options(root, tmp_path))

    assert set(counts) == {'train', 'val', 'test'}
    metainfo, items = read(tmp_path / 'out/finland_train.json')
    assert [item['img_path'] for item in items] == [name(0), name(2), name(4)]
    assert metainfo['split_rule'] == 'lists' and metainfo['listed_without_row'] == 1
    assert 'test_list.txt' in metainfo['sources']


def test_lists_that_leak_are_refused_and_a_nested_split_is_offered(tmp_path):
    root = write_country(tmp_path / 'Finland', 10)
    name = 'a{}_FI_19.jpg'.format
    for split, number in dict(train=0, val=1, test=2, finetune=2).items():
        write_lines(root / f'{split}_list.txt', [name(number)])

    with pytest.raises(
        ValueError,
        match=r'finetune_list\.txt and .*test_list\.txt share 1 .*'
        r"'a2_FI_19\.jpg'.*--split nested",
    ):
        convert(options(root, tmp_path))
    convert(options(root, tmp_path, split='nested'))
    assert not split_names(tmp_path / 'out')['test'] & split_names(tmp_path / 'out')['finetune']


def test_half_the_lists_are_refused(tmp_path):
    root = write_country(tmp_path / 'Finland')
    write_lines(root / 'train_list.txt', ['a1_FI_19.jpg'])

    with pytest.raises(FileNotFoundError, match=r'train_list\.txt .*val_list\.txt, test_'):
        convert(options(root, tmp_path))


def test_tags_and_coordinates(tmp_path):
    rows = [
        (
            f'a{n}.jpg',
            f'text {n}',
            'amenity of school, road of service; surrounded by land use '
            'of forest, road of service;',
            '24.5',
            '' if n else '60.1',
        )
        for n in range(20)
    ]
    write_csv(
        tmp_path / 'Finland' / CSV,
        rows,
        ('image_name', 'description', 'title_multi_objects', 'lon', 'lat'),
    )
    convert(options(tmp_path / 'Finland', tmp_path))

    items = {
        item['img_path']: item
        for split in ('train', 'val', 'test')
        for item in read(tmp_path / f'out/finland_{split}.json')[1]
    }
    assert items['a0.jpg']['geo_tags'] == [
        'amenity of school',
        'road of service',
        'land use of forest',
    ]
    assert items['a0.jpg']['lon'] == 24.5 and items['a0.jpg']['lat'] == 60.1
    assert 'lat' not in items['a1.jpg']
    assert 'label' not in items['a0.jpg']


def test_tags_of_a_published_cell():
    assert parse_tags('surrounded by road of service;') == ['road of service']
    assert parse_tags(' ; ,') == []


@pytest.mark.parametrize('lon', ['east', 'nan', '181'])
def test_coordinates_that_are_none_name_their_line(tmp_path, lon):
    rows = [('a.jpg', 'one', ''), ('b.jpg', 'two', lon)]
    write_csv(tmp_path / CSV, rows, ('image_name', 'description', 'lon'))

    with pytest.raises(ValueError, match=rf"refine\.csv, line 3: lon .*'{lon}'"):
        convert(options(tmp_path, tmp_path))


def test_missing_columns_are_named_beside_those_found(tmp_path):
    write_csv(tmp_path / CSV, [('a.jpg', 'one')], ('image_name', 'title'))

    with pytest.raises(ValueError, match='description.*image_name, title'):
        convert(options(tmp_path, tmp_path))


def test_an_image_twice_names_both_lines(tmp_path):
    # The quoted description runs over two lines, so rows and lines differ.
    write_csv(tmp_path / CSV, [('a.jpg', 'one\nmore'), ('b.jpg', 'two'), ('a.jpg', 'three')])

    with pytest.raises(
        ValueError,
        match=r"line 5: image 'a\.jpg' was listed before "
        r'\(.*line 2\)',
    ):
        convert(options(tmp_path, tmp_path))


def test_names_that_climb_out_are_refused(tmp_path):
    write_csv(tmp_path / CSV, [('a.jpg', 'one'), ('../b.jpg', 'two')])

    with pytest.raises(ValueError, match=r"'\.\./b\.jpg' .*line 3"):
        convert(options(tmp_path, tmp_path))


def test_rows_without_description_are_dropped_and_counted(tmp_path):
    rows = [(f'a{n}.jpg', ' ' if n < 3 else f'text {n}') for n in range(23)]
    write_csv(tmp_path / CSV, rows)
    convert(options(tmp_path, tmp_path))

    assert read(tmp_path / 'out/finland_val.json')[0]['rows_without_description'] == 3
    assert not {'a0.jpg', 'a1.jpg', 'a2.jpg'} & set.union(*split_names(tmp_path / 'out').values())


def test_images_are_looked_for_where_they_are_published(tmp_path):
    root = write_country(tmp_path / 'Finland', 20)
    for number in range(15):
        write_image(root / f'images/a{number}_FI_19.jpg')

    with pytest.raises(FileNotFoundError, match=r'of .* images .*images'):
        convert(options(root, tmp_path))
    convert(options(root, tmp_path, only_present=True))
    parts = split_names(tmp_path / 'out')
    assert len(parts['train'] | parts['val'] | parts['test']) == 15


def test_identical_images_stay_on_one_side_of_the_test_split(tmp_path):
    root = write_country(tmp_path / 'Finland', 40)
    for number in range(40):
        write_image(root / f'images/a{number}_FI_19.jpg', seed=number // 2)
    convert(options(root, tmp_path))

    parts = split_names(tmp_path / 'out')
    for number in range(0, 40, 2):
        pair = {f'a{number}_FI_19.jpg', f'a{number + 1}_FI_19.jpg'}
        assert all(pair <= parts[split] or not pair & parts[split] for split in SPLITS)


def test_which_csv(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no \*refine\*\.csv in'):
        convert(options(tmp_path, tmp_path))
    write_country(tmp_path)
    write_csv(tmp_path / 'other_refine.csv', [(f'b{n}.jpg', 'text') for n in range(20)])
    with pytest.raises(ValueError, match='has 2 .*--csv'):
        convert(options(tmp_path, tmp_path))
    counts = convert(options(tmp_path, tmp_path, csv=tmp_path / 'other_refine.csv'))
    assert counts['train']['images'] == 14


def test_too_few_images(tmp_path):
    with pytest.raises(ValueError, match='image for val'):
        convert(options(write_country(tmp_path / 'Finland', 3), tmp_path))


def test_an_open_quote_loses_no_row(tmp_path):
    rows = [f'{name}.png,Plain sentence {name}.' for name in 'abcdefghijkl']
    rows[1] = 'b.png,"A tower of 12 m stands here.'
    for close in ('h.png,"A ""second"" quoted sentence"', 'h.png,closed here"', None):
        lines = list(rows)
        if close:
            lines[7] = close
        write_lines(tmp_path / CSV, ['image_name,description', *lines])
        with pytest.raises(ValueError, match=r'refine\.csv, line 3: .*quote'):
            convert(options(tmp_path, tmp_path))
        assert not (tmp_path / 'out').exists()


def test_names_of_lists_and_images_show_a_swallowed_row(tmp_path):
    rows = [f'place{n},Text {n}.' for n in range(12)]
    rows[3], rows[5] = 'place3,"Text 3.', 'place5,Text 5."'
    write_lines(tmp_path / CSV, ['image_name,description', *rows])
    for split, part in dict(train=range(8), val=[8, 9], test=[10, 11]).items():
        write_lines(tmp_path / f'{split}_list.txt', [f'place{n}' for n in part])

    with pytest.raises(ValueError, match="line 5: 'description'"):
        convert(options(tmp_path, tmp_path))


def test_what_is_in_the_table_or_the_lists_alone_is_said(tmp_path, capsys):
    root = write_country(tmp_path / 'Finland', 6)
    name = 'a{}_FI_19.jpg'.format
    for split, numbers in dict(train=[0, 7, 8], val=[1], test=[2]).items():
        write_lines(root / f'{split}_list.txt', [name(n) for n in numbers])
    convert(options(root, tmp_path))

    said = capsys.readouterr().err
    assert "2 names in the lists have no row in the CSV, first 'a7_FI_19.jpg'" in said
    assert "3 rows of the CSV are in no list, first 'a3_FI_19.jpg'" in said


def test_skyscript_and_other_columns(tmp_path):
    rows = [
        (f'images2/a{n}_US.jpg', f'road of service {n}', f'text {n}', 'road of service;')
        for n in range(20)
    ]
    write_csv(tmp_path / 'SkyScript.csv', rows, ('filepath', 'title', 'long', TAG_COLUMN))
    given = options(tmp_path, tmp_path, csv=tmp_path / 'SkyScript.csv')
    convert(given)
    item = read(tmp_path / 'out/finland_test.json')[1][0]
    number = item['img_path'].removeprefix('images2/a').removesuffix('_US.jpg')
    assert item['captions'] == [f'road of service {number}']
    assert item['geo_tags'] == ['road of service']

    convert(
        options(
            tmp_path,
            tmp_path,
            csv=tmp_path / 'SkyScript.csv',
            caption_column='long',
            image_column='filepath',
            force=True,
        )
    )
    assert read(tmp_path / 'out/finland_test.json')[1][0]['captions'] == [f'text {number}']
    with pytest.raises(ValueError, match='name.*filepath, title, long'):
        convert(
            options(
                tmp_path, tmp_path, csv=tmp_path / 'SkyScript.csv', image_column='name', force=True
            )
        )


def test_all_outputs_or_none(tmp_path, monkeypatch):
    given = options(write_country(tmp_path / 'Finland'), tmp_path)
    written = []

    def full(path, data):
        written.append(path)
        if len(written) == 4:
            raise OSError(28, 'No space left on device')
        path.write_bytes(data)

    monkeypatch.setattr('urbancross_mm.utils.files._write', full)
    with pytest.raises(OSError, match='No space left'):
        convert(given)
    assert len(written) == 4 and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('rows', [[], [('a.jpg', ' ')]])
def test_a_table_without_captions(tmp_path, rows):
    write_csv(tmp_path / CSV, rows)
    with pytest.raises(ValueError, match=r'refine\.csv'):
        convert(options(tmp_path, tmp_path))
