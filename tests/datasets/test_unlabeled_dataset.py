"""Any images, texts or recordings as items of one modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from tests.datasets.tiny import image, item, write
from tests.recordings import record, tone
from urbancross_mm.datasets import ConcatDataset, ImageTextDataset, UnlabeledDataset
from urbancross_mm.models import RetrievalDataPreprocessor
from urbancross_mm.utils.ids import stable_id

PACK = dict(type='PackRetrievalInputs')
READ = dict(
    image=[dict(type='LoadImage'), dict(type='ResizeImage', scale=16), PACK],
    text=[
        dict(type='TokenizeText', tokenizer=lambda texts: torch.tensor([[len(t)] for t in texts])),
        PACK,
    ],
    audio=[dict(type='LoadAudio'), PACK],
)


def save(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image(seed=seed)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files of every kind, and some that are none of it."""
    for name in ('b.png', 'a/c.JPG', 'a/.hidden.png'):
        save(tmp_path / 'photos' / name)
    (tmp_path / 'photos/notes.txt').write_text('no image')
    for name in ('y.wav', 'deep/x.flac', 'z.ogg'):
        record(tmp_path / 'sound' / name, tone(440, 0.1))
    save(tmp_path / 'sound/cover.png')
    (tmp_path / 'texts.txt').write_text('\ufeffa road\r\n\n  \n a field \na road\n', 'utf-8')
    return tmp_path


def build(modality: str, source: object, **options: Any) -> UnlabeledDataset:
    return UnlabeledDataset(modality, str(source), **{'pipeline': READ[modality], **options})


def infos(dataset: UnlabeledDataset) -> list[dict[str, Any]]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def test_files_below_a_folder_and_lines_of_a_text(root: Path) -> None:
    photos = [str(root / 'photos' / name) for name in ('a/c.JPG', 'b.png')]
    assert infos(build('image', root / 'photos')) == [
        dict(img_id=path, img_path=path, sample_idx=number) for number, path in enumerate(photos)
    ]
    sounds = [str(root / 'sound' / name) for name in ('deep/x.flac', 'y.wav', 'z.ogg')]
    assert infos(build('audio', 'sound', data_root=str(root))) == [
        dict(audio_paths=[path], audio_ids=[stable_id(path)], sample_idx=number)
        for number, path in enumerate(sounds)
    ]
    lines = ['a road', 'a field', 'a road']
    assert infos(build('text', root / 'texts.txt')) == [
        dict(texts=[line], text_ids=[stable_id(line)], sample_idx=number)
        for number, line in enumerate(lines)
    ]


def test_images_of_spectrograms_are_recordings_too(root: Path) -> None:
    steps = [dict(type='LoadSpectrogramImage', resize=32, size=32), PACK]
    dataset = build('audio', root / 'sound', pipeline=steps)
    assert [info['audio_paths'] for info in infos(dataset)] == [[str(root / 'sound/cover.png')]]
    assert dataset[0]['inputs']['audio'].shape == (1, 3, 32, 32)


@pytest.mark.parametrize('modality', ['image', 'text', 'audio'])
def test_a_batch_has_its_modality_alone(root: Path, modality: str) -> None:
    source = dict(image='photos', text='texts.txt', audio='sound')[modality]
    dataset = build(modality, root / source)
    batch = pseudo_collate([dataset[index] for index in range(2)])
    prepared = RetrievalDataPreprocessor(spectrogram=dict(frames=16))(batch)
    shapes = dict(image=(2, 3, 16, 16), text=(2, 1), audio=(2, 1, 128, 16))
    assert {name: tuple(value.shape) for name, value in prepared['inputs'].items()} == {
        modality: shapes[modality]
    }
    assert dataset.metainfo['modality'] == modality


@pytest.mark.parametrize('suffix', ['.json', '.parquet'])
def test_one_modality_of_an_annotation_file(tmp_path: Path, suffix: str) -> None:
    from urbancross_mm.structures.annotations import encode_file, read_annotations

    entries = [
        item('a', ['red roof', 'a road'], audio_paths=['a0.wav', 'a1.wav']),
        item('b', ['a road', 'trees'], audio_paths=['', 'b1.wav']),
        item('c', ['water', 'a field'], audio_paths=['a0.wav']),
    ]
    tiny = write(tmp_path, entries)
    source = Path(tmp_path, tiny['ann_file'])
    if suffix == '.parquet':
        metainfo, items = read_annotations(str(source))
        source = source.with_suffix(suffix)
        source.write_bytes(encode_file(source, metainfo, items))
    options = dict(data_root=str(tmp_path), data_prefix=dict(audio_paths='wave'))

    def part(modality: str) -> list[dict[str, Any]]:
        return infos(build(modality, source.relative_to(tmp_path), **options))

    assert [info['img_path'] for info in part('image')] == [
        str(tmp_path / f'images/{name}.png') for name in 'abc'
    ]
    assert [info['texts'] for info in part('text')] == [
        [text] for entry in entries for text in entry['captions']
    ]
    assert [info['audio_paths'] for info in part('audio')] == [
        [str(tmp_path / 'wave' / name)] for name in ('a0.wav', 'a1.wav', 'b1.wav')
    ]


def test_subsets_and_folds(root: Path) -> None:
    from mmpretrain.datasets import KFoldDataset

    assert len(build('text', root / 'texts.txt', indices=2)) == 2
    config = dict(
        type='urbancross_mm.UnlabeledDataset', modality='image', source=str(root / 'photos')
    )
    parts = [
        KFoldDataset(config, fold=0, num_splits=2, seed=0, test_mode=test_mode)
        for test_mode in (False, True)
    ]
    found = [part.get_data_info(0)['img_id'] for part in parts]
    assert sorted(found) == [str(root / 'photos' / name) for name in ('a/c.JPG', 'b.png')]


def test_a_file_named_as_the_modality_is_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (root / 'text').write_text('a line')
    assert build('text', 'texts.txt', lazy_init=True).metainfo == dict(modality='text')


def test_members_differ_in_their_modality(root: Path) -> None:
    members = [build('image', root / 'photos'), build('text', root / 'texts.txt')]
    assert len(ConcatDataset(members)) == 5


def test_nothing_is_read_before_its_item_is(root: Path) -> None:
    (root / 'photos/b.png').write_bytes(b'broken')
    (root / 'sound/y.wav').write_bytes(b'broken')
    photos, sounds = build('image', root / 'photos'), build('audio', root / 'sound')
    assert photos[0] and sounds[0]
    with pytest.raises(ValueError, match=r'photos/b\.png'):
        photos[1]
    with pytest.raises(ValueError, match=r'sound/y\.wav'):
        sounds[1]


def test_skip_bad_leaves_out_and_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / 'photos/b.png').write_bytes(b'broken')
    (root / 'sound/y.wav').write_bytes(b'broken')
    messages: list[str] = []
    monkeypatch.setattr('urbancross_mm.datasets.item_checks.warn', messages.append)
    photos = build('image', root / 'photos', skip_bad=True)
    sounds = build('audio', root / 'sound', skip_bad=True)
    assert len(photos) == 1 and photos.skipped == [str(root / 'photos/b.png')]
    assert len(sounds) == 2 and sounds.skipped == [str(root / 'sound/y.wav')]
    assert photos[0] and sounds[0] and sounds[1]
    for text, what in zip(messages, ('1 of 2 images', '1 of 3 recordings'), strict=True):
        assert what in text
    (root / 'photos/a/c.JPG').write_bytes(b'broken')
    with pytest.raises(ValueError, match=r'all 2 images of .*photos'):
        build('image', root / 'photos', skip_bad=True)


@pytest.mark.parametrize(
    ('modality', 'source', 'error', 'message'),
    [
        ('image', 'nowhere', FileNotFoundError, 'no folder of images at .*nowhere'),
        ('audio', 'nowhere', FileNotFoundError, 'no folder of sound at .*nowhere'),
        ('text', 'nowhere.txt', FileNotFoundError, r'nowhere\.txt'),
        ('text', 'photos', FileNotFoundError, 'photos'),
        ('image', 'texts.txt', FileNotFoundError, r'no folder of images at .*texts\.txt'),
        ('image', 'empty', ValueError, r'empty has no images \(passed over: 1 \.gif\)'),
        ('audio', 'empty', ValueError, r'empty has no recordings \(passed over: 1 \.mp3\)'),
        ('text', 'blank.txt', ValueError, r'blank\.txt has no texts'),
        ('video', 'photos', ValueError, "'image', 'text', 'audio'.*'video'"),
    ],
)
def test_what_has_no_item(
    root: Path, modality: str, source: str, error: type[Exception], message: str
) -> None:
    (root / 'empty').mkdir()
    for name in ('a.gif', 'b.mp3'):
        (root / 'empty' / name).touch()
    (root / 'blank.txt').write_text('\n  \n')
    with pytest.raises(error, match=message):
        UnlabeledDataset(modality, source, data_root=str(root))


def test_annotations_without_the_modality(tmp_path: Path) -> None:
    tiny = write(tmp_path, [item('a', ['red'])])
    with pytest.raises(ValueError, match=r'tiny\.json has no recordings'):
        UnlabeledDataset('audio', tiny['ann_file'], tiny['data_root'])


def test_a_pipeline_of_another_modality_is_named(root: Path) -> None:
    dataset = build('text', root / 'texts.txt', pipeline=READ['image'])
    with pytest.raises(ValueError, match=r"'img_path'.*texts of .*texts\.txt.*text transforms"):
        dataset[0]


def test_lost_words_are_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tokenizer:
        context_length = 1

        def is_cut(self, text: str) -> bool:
            return True

        def unknown_words(self, text: str) -> list[str]:
            return []

        def __call__(self, texts: list[str]) -> torch.Tensor:
            return torch.zeros(len(texts), 1, dtype=torch.long)

    said: list[str] = []
    monkeypatch.setattr('urbancross_mm.datasets.item_checks.warn', said.append)
    step = dict(type='TokenizeText', tokenizer=Tokenizer())
    build('text', root / 'texts.txt', pipeline=[step])
    assert len(said) == 1 and 'texts.txt' in said[0]


def test_captioned_items_beside_them_keep_their_ids(root: Path, tmp_path: Path) -> None:
    """An image may stand in both: its id there is another, its file the same."""
    tiny = write(tmp_path / 'captioned', [item('a', ['red'])])
    captioned = ImageTextDataset(**tiny)
    photos = build('image', tmp_path / 'captioned/images')
    keys = ['dataset', 'domain', 'split']
    assert len(ConcatDataset([captioned, photos], ignore_keys=keys)) == 2
