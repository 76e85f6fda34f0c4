"""The sample world says what it shows, shows what it says, and is the same on every run."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from urbancross_mm.toy.world import (
    COUNTRIES,
    DEFAULT_IMAGES,
    KINDS,
    build_scene,
    describe,
    five_captions,
    make_sample,
    phrases,
    render,
    spoken_caption,
)
from urbancross_mm.toy.world import images as images
from urbancross_mm.toy.world.geometry import zone_of
from urbancross_mm.toy.world.geotags import (
    geo_tags,
    geojson_features,
    title_multi_objects,
)
from urbancross_mm.toy.world.layouts import UCM_KINDS, folder_of
from urbancross_mm.toy.world.masks import COVER, class_map, cover_map, segments_of, sidecar
from urbancross_mm.toy.world.objects import GROUPS

IMAGES = 12
STYLES = list(COUNTRIES.values())


def scenes(count: int = 20, start: int = 0):
    """Scenes of every kind and country."""
    return [build_scene(STYLES[i % 3], (7, start + i), KINDS[i % len(KINDS)]) for i in range(count)]


def digests(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob('*'))
        if p.is_file()
    }


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp('world') / 'sample'
    return root, make_sample(root, IMAGES, seed=3, image_size=64, workers=0)


# ---------------------------------------------------------------- determinism


def test_equal_seeds_give_equal_images_and_words():
    for scene, again in zip(scenes(6), scenes(6)):
        np.testing.assert_array_equal(render(scene).image, render(again).image)
        assert describe(scene, (1,)) == describe(again, (1,))
    one, other = (render(build_scene(STYLES[0], (0, i), 'church')).image for i in (1, 2))
    assert (one != other).mean() > 0.5


def test_sample_is_the_same_bytes_and_images_do_not_depend_on_their_number(sample, tmp_path):
    make_sample(
        tmp_path / 'b',
        dict.fromkeys(DEFAULT_IMAGES, IMAGES) | {'finland': 15},
        seed=3,
        image_size=64,
        workers=0,
    )
    first, second = digests(sample[0]), digests(tmp_path / 'b')
    grown = ('urbancross/Finland/instruct', 'urbancross/Finland/tags', 'sample.json')
    for name, digest in first.items():
        if not name.startswith(grown):
            assert second[name] == digest, name
    make_sample(tmp_path / 'c', IMAGES, seed=4, image_size=64, workers=0)
    third = digests(tmp_path / 'c')
    assert not {n for n in first if n.endswith('.jpg') and third.get(n) == first[n]}


def test_processes_draw_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(images, 'FEW', 0)
    roots = [tmp_path / name for name in ('one', 'two')]
    for workers, root in zip((0, 2), roots):
        jobs = [
            images.Job(str(root), f'{i}.jpg', (1, i), 'spain', None, 64, 'country', True)
            for i in range(4)
        ]
        records = images.draw_all(jobs, workers)
        assert [r.name for r in records] == [j.name for j in jobs]
    assert digests(roots[0]) == digests(roots[1])


# ---------------------------------------------------------------- truth of the captions

WORD = {word: number for number, word in enumerate(phrases.NUMBERS)} | {'a': 1, 'an': 1}
AMOUNT = '(a|an|two|three|four|five|six|seven|eight|nine|ten|many)'


def said(text: str, nouns: tuple[str, str], between: str = '(?:[a-z]+ )?') -> str | None:
    """The number word that stands before a noun."""
    result = re.search(rf'\b{AMOUNT} {between}({nouns[1]}|{nouns[0]})\b(?! park)', text.lower())
    return result and result.group(1)


def agrees(word: str, count: int) -> bool:
    return count > 10 if word == 'many' else WORD[word] == count


@pytest.mark.parametrize('kind', [*sorted(GROUPS), 'airport', 'port'])
def test_number_and_color_of_the_focus_are_true(kind):
    for index in range(6):
        scene = build_scene(STYLES[index % 3], (11, index), kind)
        items = scene.select(role='focus')
        assert len({i.kind for i in items}) == 1
        assert len({i.color for i in items}) == 1
        color = phrases.COLORS.get(items[0].color, items[0].color)
        assert color in phrases.focus(scene).text
        assert agrees(said(phrases.focus(scene).text, phrases.NOUNS[items[0].kind]), len(items))


def test_descriptions_count_houses_roads_and_cars_truly():
    checked = 0
    for scene in scenes(60, 100):
        # Drop the country's own words, which the plain nouns below would not find.
        text = describe(scene, (5,))
        for kind, role in (('house', None), ('road', None), ('car', 'context')):
            singular, plural = scene.country.words.get(kind, phrases.NOUNS[kind])
            for nouns in {(singular, plural), phrases.NOUNS[kind]}:
                word = said(text, nouns, '(?:curved |straight )?')
                if word and not (kind == 'car' and 'parked cars' in text):
                    assert agrees(word, len(scene.select(kind, role))), text
                    checked += 1
    assert checked > 50


def test_roof_colors_are_those_of_the_houses():
    for scene in scenes(60, 200):
        phrase = phrases.houses(scene)
        colors = {item.color for item in scene.select('house')}
        if phrase is None:
            assert not colors
        elif len(colors) == 1:
            assert f'{colors.pop()} roof' in phrase.text and 'mostly' not in phrase.text
        else:
            assert 'mostly' in phrase.text or 'several colors' in phrase.text


def test_places_are_where_the_pixels_are():
    checked = 0
    for scene in scenes(60, 300):
        numbers = [n for n, item in enumerate(scene.items, 1) if item.role == 'focus']
        if scene.kind in phrases.SPREAD or scene.side or not numbers:
            continue
        y, x = np.nonzero(np.isin(render(scene).ids, numbers))
        center = (np.array([x.mean(), y.mean()]) + 0.5) / 128
        if min(abs(center - edge).min() for edge in (0.375, 0.625)) > 0.03:
            assert phrases.place(scene) == f'in the {zone_of(center, 1.0)}'
            checked += 1
    assert checked > 20


def test_descriptions_fit_the_text_encoder_and_tell_images_apart():
    import open_clip

    tokenizer = open_clip.get_tokenizer('ViT-B-16')
    for country in STYLES:
        texts = [describe(build_scene(country, (9, i)), (i,)) for i in range(40)]
        lengths = np.array([len(tokenizer.encode(text)) + 2 for text in texts])
        assert (lengths <= 77).mean() >= 0.95
        assert len(set(texts)) == len(texts)
        assert 25 < np.mean([len(text.split()) for text in texts]) < 55


def test_five_captions_repeat_within_and_between_images():
    blocks = [five_captions(build_scene(STYLES[i % 3], (2, i)), 'rsicd', (i,)) for i in range(60)]
    assert all(len(block) == 5 and all(block) for block in blocks)
    assert any(len(set(block)) < 5 for block in blocks)
    owners = {}
    for number, block in enumerate(blocks):
        for text in set(block):
            owners.setdefault(text, set()).add(number)
    assert any(len(images_) > 1 for images_ in owners.values())
    assert all(text == text.lower() and text.endswith(' .') for text in owners)
    with pytest.raises(ValueError, match="'nwpu'"):
        five_captions(build_scene(STYLES[0], (0,)), 'nwpu', (0,))


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize(
    'kind, thing',
    [
        ('tenniscourt', 'court'),
        ('storagetanks', 'tank'),
        ('pond', 'pond'),
        ('sparseresidential', 'house'),
    ],
)
def test_mask_is_what_disappears_with_the_item(kind, thing):
    scene = build_scene(COUNTRIES['germany'], (1, 5), kind)
    item = scene.select(thing)[0]
    number = 1 + next(k for k, other in enumerate(scene.items) if other is item)
    with_it = render(scene)
    scene.items = [other for other in scene.items if other is not item]
    difference = np.abs(with_it.image.astype(int) - render(scene).image).max(2) > 8
    mask = with_it.ids == number
    assert mask.sum() > 30
    assert difference[mask].mean() > 0.9
    shadow = item.height * 0.6 / scene.country.extent * 128
    reach = np.ones((2 * int(shadow + 3) + 1,) * 2, np.uint8)
    assert not difference[cv2.dilate(mask.astype(np.uint8), reach) == 0].any()


def test_sidecar_holds_the_masks_exactly():
    from pycocotools import mask as coco

    gaps = False
    for scene in scenes():
        drawn = render(scene, 96)
        entry = sidecar(segments_of(scene, drawn), 96)
        assert entry['image_size'] == entry['size'] == [96, 96] and entry['source'] == 'exact'
        known = {np.asarray(drawn.ids == n).tobytes() for n in range(1, len(scene.items) + 1)}
        assert 0 < len(entry['segments']) <= 10
        for segment in entry['segments']:
            mask = coco.decode({'size': entry['size'], 'counts': segment['counts']}).astype(bool)
            assert mask.tobytes() in known
            y, x = np.nonzero(mask)
            assert segment['area'] == mask.sum() >= 12
            assert segment['bbox'] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        scores = [segment['score'] for segment in entry['segments']]
        assert scores == sorted(scores, reverse=True) and 0.2 < min(scores) <= max(scores) < 0.35
        ranks = sorted(s.rank for s in segments_of(scene, drawn))
        gaps |= ranks != list(range(len(ranks)))
    assert gaps


def test_class_maps_use_ten_times_the_rsitmd_index():
    scene = build_scene(COUNTRIES['spain'], (1, 1), 'storagetanks')
    drawn = render(scene)
    tanks = [n for n, item in enumerate(scene.items, 1) if item.kind == 'tank']
    values = np.asarray(class_map(scene, drawn))
    np.testing.assert_array_equal(values == 30, np.isin(drawn.ids, tanks))
    seen = {int(v) for s in scenes() for v in np.unique(class_map(s, render(s, 64)))}
    assert seen == set(range(0, 150, 10))


def test_cover_maps_use_the_classes_of_dronedeploy():
    scene = build_scene(COUNTRIES['spain'], (1, 1), 'storagetanks')
    drawn = render(scene)
    painted = cover_map(scene, drawn)
    houses = [n for n, item in enumerate(scene.items, 1) if item.kind == 'house']
    assert painted.mode == 'P'
    np.testing.assert_array_equal(np.asarray(painted) == 0, np.isin(drawn.ids, houses))
    assert (np.asarray(painted)[drawn.ids == 0] == list(COVER).index('ground')).all()
    colors = {tuple(c) for c in np.asarray(painted.convert('RGB')).reshape(-1, 3).tolist()}
    assert COVER['building'] in colors and colors <= set(COVER.values())
    seen = {int(v) for s in scenes() for v in np.unique(cover_map(s, render(s, 64)))}
    assert seen == set(range(6))


# ---------------------------------------------------------------- tags and places


def test_geo_tags_are_key_of_value_in_the_right_country():
    for scene in scenes(30):
        focus, around = geo_tags(scene)
        assert focus or around
        for tag in focus + around:
            assert re.fullmatch(r'[a-z ]+ of [a-z ]+', tag), tag
        assert not set(focus) & set(around)
        assert re.fullmatch(r'[a-z ,]*;( surrounded by [a-z ,]+;)?', title_multi_objects(scene))
        west, south, east, north = scene.country.box
        assert west <= scene.lon <= east and south <= scene.lat <= north


def test_map_features_lie_on_the_image():
    scene = build_scene(COUNTRIES['finland'], (1, 2), 'storagetanks')
    features = geojson_features(scene, 'x.jpg')
    tanks = [f for f in features if f['properties'].get('man_made') == 'storage_tank']
    assert len(tanks) == len(scene.select('tank'))
    ring = np.array(tanks[0]['geometry']['coordinates'][0])
    np.testing.assert_array_equal(ring[0], ring[-1])
    meters = (ring.mean(0) - [scene.lon, scene.lat]) * 111320 * [
        np.cos(np.radians(scene.lat)),
        -1,
    ] + scene.country.extent / 2
    np.testing.assert_allclose(meters, scene.select('tank')[0].center, atol=1.0)


# ---------------------------------------------------------------- the gap


def test_countries_differ_in_color_scale_and_words_but_not_in_objects():
    means, sizes, words, kinds = {}, {}, {}, {}
    for name, country in COUNTRIES.items():
        world = [build_scene(country, (4, i)) for i in range(40)]
        means[name] = np.stack([render(s, 48).image.mean((0, 1)) for s in world])
        sizes[name] = np.median(
            [i.size[0] / country.extent for s in world for i in s.select('house')]
        )
        words[name] = {w for i, s in enumerate(world) for w in describe(s, (i,)).split()}
        kinds[name] = {i.kind for s in world for i in s.items}
    centers = np.stack([means[name].mean(0) for name in COUNTRIES])
    for number, name in enumerate(COUNTRIES):
        nearest = np.linalg.norm(means[name][:, None] - centers, axis=2).argmin(1)
        assert (nearest == number).mean() > 0.6
    assert sizes['finland'] < 0.9 * sizes['germany'] < 0.8 * sizes['spain']
    assert 'cottages' in words['finland'] and 'cottages' not in words['spain'] | words['germany']
    shared = set.intersection(*words.values())
    assert all(len(shared) > 0.4 * len(result) for result in words.values())
    assert len(set.intersection(*kinds.values())) > 15


# ---------------------------------------------------------------- layouts on disk


def lines(path: Path) -> list[str]:
    return path.read_text(encoding='utf-8').split('\n')[:-1]


@pytest.mark.parametrize('name', COUNTRIES)
def test_country_layout(sample, name):
    root = sample[0] / folder_of(name)
    with open(root / f'instructblip_generation_{name}_refine.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['image_name', 'description', 'title_multi_objects', 'lon', 'lat']
    assert len(rows) == len({r['image_name'] for r in rows}) == IMAGES
    assert not list(root.glob('*_list.txt'))
    code = COUNTRIES[name].code
    for row in rows:
        stem = Path(row['image_name']).stem
        assert re.fullmatch(rf'a\d{{9}}_{code}_\d\d', stem)
        with Image.open(root / 'images' / row['image_name']) as image:
            assert image.size == (64, 64) and image.mode == 'RGB'
        segments = json.loads((root / 'segments' / f'{stem}.json').read_text())['segments']
        files = sorted((root / 'image_segments' / stem).iterdir())
        assert len(files) == len(segments)
        assert all(re.fullmatch(rf'{stem}_\d+\.jpg', f.name) for f in files)
    with Image.open(files[0]) as image:
        assert (np.asarray(image) > 250).all(2).mean() > 0.2  # white outside the segment
    assert json.loads((root / 'tags.geojson').read_text())['type'] == 'FeatureCollection'


@pytest.mark.parametrize('name', ['rsicd', 'rsitmd'])
def test_precomp_layout_has_the_published_quirks(sample, name):
    root, counts = sample[0] / name, sample[1]['counts'][name]
    text = {p.stem: lines(p) for p in (root / 'precomp').iterdir()}
    train, test = text['train_filename'], text['test_filename']
    assert len(train) == len(set(train)) == counts['train_images']
    assert len(text['train_caps']) == len(text['train_audio']) == 5 * len(train)
    assert len(test) == len(text['test_caps']) == len(text['test_audios'])
    assert test == [n for n in test[::5] for _ in range(5)]
    assert not set(train) & set(test) and len(train) + len(test) // 5 == IMAGES
    verify, val = text['train_filename_verify'], text['val_filename_verify']
    assert sorted(verify + val[::5]) == sorted(train) and len(val) == len(text['val_caps_verify'])
    assert len(text['train_caps_verify']) == len(text['train_audios_verify']) == 5 * len(verify)
    empty = sum(not caption for caption in text['train_caps'])
    assert empty == (2 if name == 'rsitmd' else 0)
    assert all(text['test_caps'])
    # Spoken captions are numbered through the set and follow their captions.
    audio = dict(
        zip(text['train_audio'] + text['test_audios'], text['train_caps'] + text['test_caps'])
    )
    assert sorted(int(Path(n).stem) for n in audio) == list(range(5 * IMAGES))
    assert [audio[n] for n in text['val_audios_verify']] == text['val_caps_verify']
    suffix = '.jpg' if name == 'rsicd' else '.tif'
    for file in set(train) | set(test):
        assert file.endswith(suffix) and (root / 'images' / file).is_file()
        assert (root / 'segments' / file).with_suffix('.json').is_file()
    assert len(list((root).glob('audio/*.jpg'))) == 5 * IMAGES


def test_ucm_numbers_index_the_alphabetical_classes(sample):
    root = sample[0] / 'ucm'
    names = [
        n for split in ('train', 'test') for n in lines(root / f'precomp/{split}_filename.txt')
    ]
    folders = sorted(p.name for p in (root / 'images').iterdir())
    per_class = {folder: len(list((root / 'images' / folder).iterdir())) for folder in folders}
    assert set(folders) <= set(UCM_KINDS) and len(set(per_class.values())) == 1
    each = per_class[folders[0]]
    assert {int(Path(n).stem) for n in names} == set(range(1, each * len(folders) + 1))
    captions = dict(
        zip(lines(root / 'precomp/test_filename.txt'), lines(root / 'precomp/test_caps.txt'))
    )
    for name in captions:
        folder = folders[(int(Path(name).stem) - 1) // each]
        assert (
            root / f'images/{folder}/{folder}{(int(Path(name).stem) - 1) % each:02d}.jpg'
        ).is_file()
    assert not list((root / 'precomp').glob('*verify*'))


def test_converters_read_the_sample(sample, tmp_path):
    import shutil

    from urbancross_mm.toy.convert import convert_sample

    root = tmp_path / 'copy'
    shutil.copytree(sample[0], root)
    convert_sample(root)
    result = sorted(p.stem for p in root.rglob('annotations/*_test.json'))
    assert result == [
        'dronedeploy_test',
        'finland_test',
        'germany_test',
        'rsicd_test',
        'rsitmd_test',
        'spain_test',
        'ucm_test',
    ]


# ---------------------------------------------------------------- writing whole or not at all


def test_finished_sample_is_left_alone_and_others_are_refused(sample):
    root, summary = sample
    stamp = (root / 'sample.json').stat().st_mtime_ns
    assert make_sample(root, IMAGES, seed=3, image_size=64) == summary
    assert (root / 'sample.json').stat().st_mtime_ns == stamp
    with pytest.raises(FileExistsError, match='other arguments'):
        make_sample(root, IMAGES, seed=5, image_size=64)


def test_interrupted_sample_is_made_again(sample, tmp_path, monkeypatch):
    root = tmp_path / 'sample'
    original = images.draw_image

    def stop(job: images.Job):
        if job.name.endswith('.tif'):
            raise KeyboardInterrupt
        return original(job)

    monkeypatch.setattr(images, 'draw_image', stop)
    with pytest.raises(KeyboardInterrupt):
        make_sample(root, IMAGES, seed=3, image_size=64, workers=0)
    assert not (root / 'sample.json').exists()
    monkeypatch.undo()
    make_sample(root, IMAGES, seed=3, image_size=64, workers=0)
    assert digests(root) == digests(sample[0])


def test_masks_lie_as_published(sample):
    root, summary = sample
    names = sorted(p.stem for p in (root / 'rsitmd/images').iterdir())
    assert sorted(p.name for p in (root / 'rsitmd/masks').iterdir()) == [
        f'mask_{name}.png' for name in names
    ]
    with Image.open(root / f'rsitmd/masks/mask_{names[0]}.png') as image:
        assert image.mode == 'L' and image.size == (64, 64)
    scenes = root / 'dronedeploy'
    assert json.loads((scenes / 'legend.json').read_text())['0'] == 'building'
    stems = [p.stem for p in sorted((scenes / 'images').iterdir())]
    assert [p.stem for p in sorted((scenes / 'masks').iterdir())] == stems
    assert [name.split('_')[0] for name in stems] == ['north'] * 10 + ['south'] * 2
    assert summary['counts']['dronedeploy'] == {'images': IMAGES, 'captions': 0}
    assert sorted(p.name for p in scenes.iterdir()) == ['images', 'legend.json', 'masks']
    assert not (root / 'ucm/masks').exists()


def test_a_folder_that_an_earlier_sample_did_not_have_is_never_deleted(tmp_path):
    (tmp_path / 'dronedeploy').mkdir()
    (tmp_path / 'sample.json').write_text(json.dumps({'images': {'ucm': 12}}))
    for force in (False, True):
        with pytest.raises(FileExistsError, match='dronedeploy exists but is no part of'):
            make_sample(tmp_path, IMAGES, force=force)
    assert (tmp_path / 'dronedeploy').is_dir()


def test_data_that_is_no_sample_is_never_deleted(tmp_path):
    (tmp_path / 'rsicd' / 'images').mkdir(parents=True)
    for force in (False, True):
        with pytest.raises(FileExistsError, match='is no sample'):
            make_sample(tmp_path, IMAGES, force=force)
    assert (tmp_path / 'rsicd' / 'images').is_dir()


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'images': 3}, 'at least 10 images'),
        ({'images': {'france': 20}}, "unknown sets.*'france'"),
        ({'seed': -1}, 'seed -1'),
        ({'image_size': 8}, 'image_size 8'),
    ],
)
def test_arguments_are_checked(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_sample(tmp_path, **arguments)
    with pytest.raises(ValueError, match="'volcano'"):
        build_scene(STYLES[0], (0,), 'volcano')


# ---------------------------------------------------------------- spoken captions


def test_spectrogram_follows_the_text_and_the_speaker():
    text = 'a red church stands in the north .'
    one = spoken_caption(text, (1,))
    np.testing.assert_array_equal(one, spoken_caption(text, (1,)))
    assert one.shape[0] == 128 and one.dtype == np.uint8
    assert spoken_caption(text * 2, (1,)).shape[1] > 1.8 * one.shape[1]
    assert not np.array_equal(one, spoken_caption(text, (2,)))
    hiss, vowel = (spoken_caption(letter * 20, (1,)).mean(1) for letter in 'sa')
    assert hiss[:25].mean() > 2 * vowel[:25].mean()  # high bands, first rows
    assert vowel[60:].mean() > 2 * hiss[100:].mean()
