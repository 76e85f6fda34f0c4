"""The precomp layout with its quirks, its splits and its mistakes."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.datasets.converters.layouts import (
    captions_of,
    names_of,
    read,
    write_image,
    write_lines,
    write_list,
    write_precomp,
)
from urbancross_mm.datasets.converters.precomp import Options, convert
from urbancross_mm.datasets.converters.sources import hash_file
from urbancross_mm.structures.annotations import load_annotations

TRAIN = [f'{kind}_{n}.jpg' for kind in ('airport', 'beach') for n in range(10)]
TEST = ['airport_90.jpg', 'beach_91.jpg', '00013.jpg']


def options(root: Path, tmp_path: Path, **kwargs) -> Options:
    return Options(**{**dict(root=root, out=tmp_path / 'out', name='toy', min_count=1), **kwargs})


def folder(tmp_path: Path, **kwargs) -> Path:
    """A set with a published division."""
    return write_precomp(tmp_path / 'toy', TRAIN, TEST, TRAIN[::5], **kwargs)


def test_both_layouts_of_names_give_each_image_its_own_captions(tmp_path):
    counts = convert(options(folder(tmp_path), tmp_path))

    assert {split: one['images'] for split, one in counts.items()} == dict(train=16, val=4, test=3)
    for split in counts:
        metainfo, items = load_annotations(str(tmp_path / 'out' / f'toy_{split}.json'))
        assert metainfo['split'] == split
        for item in items:
            assert item['captions'] == captions_of(item['img_path'])
            assert item['img_id'] == f'toy/{Path(item["img_path"]).stem}'
            assert item['caption_ids'] == [f'{item["img_id"]}#{k}' for k in range(5)]


def test_the_folder_above_precomp_works_too(tmp_path):
    write_precomp(tmp_path / 'toy' / 'precomp', TRAIN, TEST, TRAIN[:2])

    assert convert(options(tmp_path / 'toy', tmp_path))['val']['images'] == 2


def test_labels_are_name_prefixes(tmp_path):
    convert(options(folder(tmp_path), tmp_path))

    items = read(tmp_path / 'out/toy_test.json')[1]
    labels = {item['img_path']: item.get('label') for item in items}
    assert labels == {'airport_90.jpg': 'airport', 'beach_91.jpg': 'beach', '00013.jpg': None}


def test_metainfo_says_where_the_data_come_from(tmp_path):
    root = folder(tmp_path)
    convert(options(root, tmp_path, seed=7))

    metainfo, _ = read(tmp_path / 'out/toy_train.json')
    assert metainfo['seed'] == 7 and metainfo['generator'].startswith('precomp.py')
    assert metainfo['sources']['train_caps.txt'] == hash_file(root / 'train_caps.txt')
    assert set(metainfo['split_hashes']) == {'train', 'val', 'test'}


def test_empty_captions_are_dropped_and_counted_and_leave_gaps(tmp_path):
    texts = {TRAIN[1]: ['one', '', 'three', '  ', 'five'], TRAIN[2]: [''] * 5}
    counts = convert(options(folder(tmp_path, captions=texts), tmp_path))

    assert counts['train']['dropped_empty_captions'] == 7
    assert counts['train']['dropped_pictures_without_caption'] == 1
    items = {item['img_path']: item for item in read(tmp_path / 'out/toy_train.json')[1]}
    assert TRAIN[2] not in items
    assert items[TRAIN[1]]['captions'] == ['one', 'three', 'five']
    assert items[TRAIN[1]]['caption_ids'] == [f'toy/airport_1#{k}' for k in (0, 2, 4)]


def test_an_empty_last_caption_is_a_line(tmp_path):
    counts = convert(
        options(folder(tmp_path, captions={TEST[-1]: ['a', 'b', 'c', 'd', '']}), tmp_path)
    )

    assert counts['test']['captions'] == 14


def test_audio_names_follow_their_captions(tmp_path):
    root = folder(tmp_path, captions={TEST[0]: ['a', '', 'c', 'd', 'e']})
    write_lines(root / 'test_audios.txt', [f'{n}.jpg' for n in range(15)])
    convert(options(root, tmp_path))

    first = read(tmp_path / 'out/toy_test.json')[1][0]
    assert first['audio_paths'] == ['0.jpg', '2.jpg', '3.jpg', '4.jpg']


def spoken(tmp_path):
    """A folder of captions with a recording each, and the folder of the recordings."""
    root = folder(tmp_path)
    for split, number in (('train', 100), ('test', 15)):
        write_lines(root / f'{split}_audios.txt', [f'{split}{n}.jpg' for n in range(number)])
    audio = tmp_path / 'audio'
    audio.mkdir()
    for split, number in (('train', 100), ('test', 15)):
        for n in range(number):
            (audio / f'{split}{n}.jpg').touch()
    return root, audio


def test_recordings_are_looked_for_where_the_folder_is_named(tmp_path, capsys):
    root, audio = spoken(tmp_path)
    convert(options(root, tmp_path, audio=audio, split='random'))
    _, items = read(tmp_path / 'out/toy_test.json')
    assert items[0]['audio_paths'] == [f'test{n}.jpg' for n in range(5)]

    for name in ('test3.jpg', 'test8.jpg'):
        (audio / name).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"2 of 115 .*'test3\.jpg'.*test_filename\.txt.*--only-present"
    ):
        convert(options(root, tmp_path, audio=audio, split='random', force=True))
    convert(options(root, tmp_path, audio=audio, split='random', force=True, only_present=True))
    assert '2 of 115 recordings' in capsys.readouterr().err
    _, items = read(tmp_path / 'out/toy_test.json')
    assert items[0]['audio_paths'] == ['test0.jpg', 'test1.jpg', 'test2.jpg', '', 'test4.jpg']


def test_a_folder_of_recordings_without_lists_or_none_at_all(tmp_path):
    root = folder(tmp_path)
    with pytest.raises(ValueError, match=r'--audio .*_audio\.txt'):
        convert(options(root, tmp_path, audio=tmp_path))
    with pytest.raises(FileNotFoundError, match='no folder at .*gone'):
        convert(options(root, tmp_path, audio=tmp_path / 'gone'))


def test_vocabulary_has_the_training_words_alone(tmp_path):
    convert(options(folder(tmp_path), tmp_path))

    words = json.loads((tmp_path / 'out/toy_vocab.json').read_text())['word2idx']
    assert {'caption', 'of', 'airport', 'beach'} <= set(words) and '91' not in words
    assert words['<unk>'] == max(words.values()) == len(words)


def test_line_counts_that_do_not_match_name_both_files(tmp_path):
    root = folder(tmp_path)
    write_lines(root / 'test_caps.txt', ['one'] * 13)

    with pytest.raises(
        ValueError,
        match=r'test_caps\.txt has 13 lines and .*test_filename\.txt '
        r'has 15',
    ):
        convert(options(root, tmp_path))
    assert not (tmp_path / 'out').exists()


def test_audio_of_another_length_is_refused(tmp_path):
    root = folder(tmp_path)
    write_lines(root / 'train_audio.txt', ['0.jpg'])

    with pytest.raises(ValueError, match=r'train_audio\.txt .*\b1\b.* 100'):
        convert(options(root, tmp_path))


@pytest.mark.parametrize('name', ['../beach_3.jpg', '/etc/passwd', 'a/../../b.jpg', ''])
def test_names_that_climb_out_are_refused_with_their_line(tmp_path, name):
    root = folder(tmp_path)
    write_list(root, 'train', [TRAIN[0], name], '_verify')

    with pytest.raises(ValueError, match=r'train_filename_verify\.txt, line 2'):
        convert(options(root, tmp_path))


def test_a_name_used_twice_is_refused_with_both_lines(tmp_path):
    root = folder(tmp_path)
    write_list(root, 'test', [TEST[0], TEST[1], TEST[0]], repeat=True)

    with pytest.raises(
        ValueError,
        match=r"line 11: image 'airport_90\.jpg' was listed before "
        r'\(.*line 1\)',
    ):
        convert(options(root, tmp_path))


def test_skip_bad_leaves_bad_lines_out_and_counts_them(tmp_path):
    root = folder(tmp_path)
    write_list(root, 'test', [TEST[0], '../x.jpg', TEST[1], TEST[0]], repeat=True)
    counts = convert(options(root, tmp_path, skip_bad=True))

    assert counts['test']['images'] == 2 and counts['test']['skipped_bad_lines'] == 2


def test_an_image_in_two_splits_is_refused(tmp_path):
    root = folder(tmp_path)
    write_list(root, 'test', [TRAIN[5]], repeat=True)

    with pytest.raises(ValueError, match=r"'airport_5\.jpg'"):
        convert(options(root, tmp_path))


def test_text_that_is_not_utf8_names_file_and_line(tmp_path):
    root = folder(tmp_path)
    (root / 'test_caps.txt').write_bytes(b'one\ntw\xff\n')

    with pytest.raises(ValueError, match=r'test_caps\.txt, line 2: not UTF-8'):
        convert(options(root, tmp_path))


def test_no_published_division_names_the_alternatives(tmp_path):
    root = write_precomp(tmp_path / 'toy', TRAIN, TEST, val=None)

    with pytest.raises(ValueError, match=r'no val_filename_verify\.txt.*stratified \(or random\)'):
        convert(options(root, tmp_path))


@pytest.mark.parametrize('split', ['random', 'stratified'])
def test_drawn_splits_are_seeded_and_disjoint(tmp_path, split):
    root = write_precomp(tmp_path / 'toy', TRAIN, TEST, val=None)
    drawn = {}
    for run, seed in enumerate((0, 0, 1)):
        out = tmp_path / str(run)
        convert(options(root, tmp_path, out=out, split=split, seed=seed))
        drawn[run] = (out / 'toy_val.json').read_bytes()
        train, val = names_of(out / 'toy_train.json'), names_of(out / 'toy_val.json')
        assert len(val) == 4 and not train & val and train | val == set(TRAIN)

    assert drawn[0] == drawn[1]
    assert json.loads(drawn[0])['data_list'] != json.loads(drawn[2])['data_list']


def test_stratified_keeps_the_share_of_every_class(tmp_path):
    names = [
        f'{kind}_{n}.jpg' for kind, size in dict(a=50, b=10, c=15).items() for n in range(size)
    ]
    root = write_precomp(tmp_path / 'toy', names, TEST, val=None)
    convert(options(root, tmp_path, split='stratified'))

    val = Counter(name.split('_')[0] for name in names_of(tmp_path / 'out/toy_val.json'))
    assert val == dict(a=10, b=2, c=3)


def test_stratified_without_classes_is_refused(tmp_path):
    root = write_precomp(tmp_path / 'toy', ['1.tif', '2.tif'], ['3.tif'], val=None)

    with pytest.raises(ValueError, match='--images'):
        convert(options(root, tmp_path, split='stratified'))


@pytest.mark.parametrize('split', ['random', 'stratified'])
def test_drawn_splits_keep_identical_images_together(tmp_path, split):
    root = write_precomp(tmp_path / 'toy', TRAIN, TEST, val=None)
    for number, name in enumerate([*TRAIN, *TEST]):
        write_image(root / 'images' / name, seed=number // 2)
    for seed in range(4):
        out = tmp_path / str(seed)
        convert(options(root, tmp_path, out=out, images=root / 'images', split=split, seed=seed))
        train, val = names_of(out / 'toy_train.json'), names_of(out / 'toy_val.json')
        for pair in zip(TRAIN[::2], TRAIN[1::2]):
            assert set(pair) <= train or set(pair) <= val
        assert val and train | val == set(TRAIN)


def test_trainval_is_the_published_training_list(tmp_path):
    convert(options(folder(tmp_path), tmp_path, trainval=True))

    assert names_of(tmp_path / 'out/toy_trainval.json') == set(TRAIN)


def test_names_follow_the_suffix_on_disk_and_find_what_lies_beside(tmp_path):
    root = write_precomp(
        tmp_path / 'toy', ['port_1.tif', 'port_2.tif'], ['port_3.tif'], ['port_2.tif']
    )
    for number in (1, 2, 3):
        write_image(root / f'images/port_{number}.jpg')
    write_lines(root / 'segments/port_1.json', ['{}'])
    write_image(root / 'seg_maps/port_1.png')
    convert(options(root, tmp_path, images=root / 'images'))

    (item,) = read(tmp_path / 'out/toy_train.json')[1]
    assert item['img_path'] == 'port_1.jpg' and item['img_id'] == 'toy/port_1'
    assert item['segments'] == 'port_1.json' and item['seg_map_path'] == 'port_1.png'
    assert 'segments' not in read(tmp_path / 'out/toy_test.json')[1][0]


def test_missing_images_are_an_error_or_counted(tmp_path):
    root = folder(tmp_path)
    for name in [*TRAIN[:12], *TEST]:
        write_image(root / 'images' / name)
    given = options(root, tmp_path, images=root / 'images')

    with pytest.raises(
        FileNotFoundError,
        match=r'7 of 16 images .*images, first '
        r"'beach_2\.jpg' \(.*line \d+\).*--only-present",
    ):
        convert(given)
    assert not (tmp_path / 'out').exists()
    counts = convert(dataclasses.replace(given, only_present=True))
    assert counts['train']['images'] == 9 and counts['train']['dropped_missing_pictures'] == 7


def test_ucm_numbers_are_images_of_classes_in_alphabetical_order(tmp_path):
    root = write_precomp(
        tmp_path / 'ucm', [f'{n}.tif' for n in (1, 2, 4, 5)], ['3.tif', '6.tif'], val=None
    )
    for label in ('beach', 'airplane'):
        for number in range(3):
            write_image(root / f'images/{label}/{label}{number:02d}.jpg')
    given = options(root, tmp_path, images=root / 'images', split='random')
    convert(given)

    results = {
        item['captions'][0]: (item['img_path'], item['label'])
        for item in read(tmp_path / 'out/toy_test.json')[1]
    }
    assert results == {
        'caption 0 of 3.tif': ('airplane/airplane02.jpg', 'airplane'),
        'caption 0 of 6.tif': ('beach/beach02.jpg', 'beach'),
    }


def test_an_incomplete_copy_is_not_numbered(tmp_path):
    root = write_precomp(tmp_path / 'ucm', [f'{n}.tif' for n in range(1, 6)], ['6.tif'], val=None)
    for number in range(3):
        write_image(root / f'images/beach/beach{number:02d}.jpg')

    with pytest.raises(ValueError, match=r'\b6\b.*\b3\b'):
        convert(options(root, tmp_path, images=root / 'images', split='random'))


def test_outputs_are_not_overwritten_without_force(tmp_path):
    given = options(folder(tmp_path), tmp_path)
    convert(given)
    before = (tmp_path / 'out/toy_val.json').read_bytes()
    (tmp_path / 'out/toy_train.json').unlink()

    with pytest.raises(FileExistsError, match=r'toy_val\.json .*--force'):
        convert(given)
    assert not (tmp_path / 'out/toy_train.json').exists()
    convert(dataclasses.replace(given, force=True))
    assert (tmp_path / 'out/toy_val.json').read_bytes() == before


def test_parquet_holds_what_json_holds(tmp_path):
    root = folder(tmp_path)
    convert(options(root, tmp_path))
    convert(options(root, tmp_path, out=tmp_path / 'columns', suffix='.parquet'))

    for split in ('train', 'val', 'test'):
        table = load_annotations(str(tmp_path / f'columns/toy_{split}.parquet'))
        assert table == load_annotations(str(tmp_path / f'out/toy_{split}.json'))


def test_no_caption_files_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'train_caps\.txt .*precomp'):
        convert(options(tmp_path, tmp_path))


def test_another_number_of_captions_is_said(tmp_path, capsys):
    root = folder(tmp_path)
    names = (root / 'test_filename.txt').read_text().splitlines()
    write_lines(root / 'test_filename.txt', [*names[:4], 'airport_77.jpg', *names[5:]])
    counts = convert(options(root, tmp_path))

    assert counts['test']['images'] == 4
    assert re.search(
        r'note: 2 of 4 images of .*test_filename\.txt have another number of captions '
        r'than 5, the first in line 1',
        capsys.readouterr().err,
    )


def test_a_mark_at_the_start_changes_nothing(tmp_path):
    convert(options(folder(tmp_path), tmp_path))
    before = load_annotations(str(tmp_path / 'out/toy_test.json'))[1]
    for path in (tmp_path / 'toy').glob('*.txt'):
        path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes().replace(b'\n', b'\r\n').rstrip())
    convert(options(tmp_path / 'toy', tmp_path, out=tmp_path / 'again'))

    assert load_annotations(str(tmp_path / 'again/toy_test.json'))[1] == before
