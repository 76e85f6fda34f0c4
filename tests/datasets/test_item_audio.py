"""Recordings stay with their captions, in every mode, subset and fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from tests.datasets.tiny import item, write
from tests.recordings import record, tone
from urbancross_mm.datasets import ImageTextDataset, UnpairedDataset
from urbancross_mm.models import RetrievalDataPreprocessor
from urbancross_mm.utils.ids import stable_id

ITEMS = [
    item('a', ['red roof', 'a road'], audio_paths=['a/0.wav', 'a/1.wav']),
    item('b', ['a road', 'trees'], audio_paths=['b/0.wav', 'b/1.wav']),
    item('c', ['water', 'a field'], audio_paths=['c.wav']),
    item('d', ['trees', 'red roof']),
    item('e', ['a lake', 'a tank'], audio_paths=['', 'e/1.wav']),
]
# The recording of every caption, by image.
HEARD = {
    'a': ['a/0.wav', 'a/1.wav'],
    'b': ['b/0.wav', 'b/1.wav'],
    'c': ['c.wav', 'c.wav'],
    'd': ['', ''],
    'e': ['', 'e/1.wav'],
}
HERTZ = {'a/0.wav': 300, 'a/1.wav': 600, 'b/0.wav': 1000, 'b/1.wav': 1500, 'c.wav': 2200}
READ = [dict(type='LoadAudio'), dict(type='PackRetrievalInputs')]


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, str]:
    for name, hertz in {**HERTZ, 'e/1.wav': 3000}.items():
        record(tmp_path / 'audio' / name, tone(hertz, 0.1))
    return write(tmp_path, ITEMS)


def name_of(path: str, data_root: str) -> str:
    return Path(path).relative_to(Path(data_root) / 'audio').as_posix() if path else ''


def check(dataset: ImageTextDataset, data_root: str) -> list[str]:
    """Each item is aligned; returns the names of what is encoded, in order."""
    encoded = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        name = info['img_id'].removeprefix('tiny/')
        if name == 'd':
            assert not {'audio_paths', 'audio_ids', 'caption_audio_ids'} & info.keys()
            continue
        every = [name_of(path, data_root) for path in info['caption_audio_paths']]
        assert every == HEARD[name]
        assert info['caption_audio_ids'] == [
            stable_id(path) if path else -1 for path in info['caption_audio_paths']
        ]
        assert info['audio_ids'] == [stable_id(path) for path in info['audio_paths']]
        names = [name_of(path, data_root) for path in info['audio_paths']]
        if dataset.captions != 'all':
            ((text,), position) = info['texts'], info['captions'].index(info['texts'][0])
            assert text == info['captions'][position]
            assert names == [name for name in [HEARD[name][position]] if name]
        encoded += names
    return encoded


def test_each_caption_comes_with_its_own(tiny):
    dataset = ImageTextDataset(**tiny)
    own = ['a/0.wav', 'a/1.wav', 'b/0.wav', 'b/1.wav', 'c.wav', 'c.wav', 'e/1.wav']
    assert check(dataset, tiny['data_root']) == own
    assert check(ImageTextDataset(**tiny, indices=[3, 0]), tiny['data_root']) == own[3::-3]


def test_a_drawn_caption_comes_with_its_own(tiny):
    dataset = ImageTextDataset(**tiny, captions='sample')
    heard = {name for _ in range(20) for name in check(dataset, tiny['data_root'])}
    assert heard == {name for names in HEARD.values() for name in names if name}


def test_all_encodes_every_recording_once_also_of_captions_that_come_again(tiny):
    dataset = ImageTextDataset(**tiny, captions='all')
    wanted = [*HERTZ, 'e/1.wav']
    assert check(dataset, tiny['data_root']) == wanted
    # Its captions were all encoded before, its recordings were not.
    assert dataset.get_data_info(1)['texts'] == ['trees']
    subset = dataset.get_subset([4, 1])
    assert check(subset, tiny['data_root']) == ['e/1.wav', 'b/0.wav', 'b/1.wav']
    dataset.get_subset_([2])
    assert check(dataset, tiny['data_root']) == ['c.wav']


def test_one_recording_that_two_images_share_is_encoded_once(tmp_path):
    items = [item(name, ['one', 'two'], audio_paths=['x.wav']) for name in 'ab']
    dataset = ImageTextDataset(**write(tmp_path, items), captions='all')
    assert [len(dataset.get_data_info(k)['audio_ids']) for k in (0, 1)] == [1, 0]
    first, second = (dataset.get_data_info(k)['caption_audio_ids'] for k in (0, 1))
    assert first == second and first[0] == first[1]


def test_folds_keep_recordings_with_their_captions(tiny):
    from mmpretrain.datasets import KFoldDataset

    heard = []
    for fold in range(2):
        config = dict(type='urbancross_mm.ImageTextDataset', **tiny, captions='all')
        part = KFoldDataset(config, fold=fold, num_splits=2, seed=3, test_mode=True)
        heard += [
            name_of(path, tiny['data_root'])
            for index in range(len(part))
            for path in part.get_data_info(index).get('audio_paths', [])
        ]
    assert sorted(heard) == sorted([*HERTZ, 'e/1.wav'])


def test_names_that_leave_the_folder(tmp_path):
    with pytest.raises(ValueError, match=r"'\.\./x\.wav' must be relative.*item 0"):
        ImageTextDataset(**write(tmp_path, [item('a', ['one'], audio_paths=['../x.wav'])]))


def test_another_folder(tiny):
    dataset = ImageTextDataset(**tiny, data_prefix=dict(audio_paths='speech'))
    assert dataset.get_data_info(0)['audio_paths'][0].endswith('speech/a/0.wav')


def test_captions_without_a_recording(tiny, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr('urbancross_mm.datasets.item_checks.warn', said.append)
    with pytest.raises(ValueError, match=r'3 of 10 captions of .*tiny\.json .*tiny/d.*=False'):
        ImageTextDataset(**tiny, pipeline=READ)
    with pytest.raises(ValueError, match='3 of 10 captions'):
        ImageTextDataset(**tiny, captions='all', pipeline=READ)
    assert not said
    dataset = ImageTextDataset(**tiny, pipeline=READ, audio_required=False)
    assert len(said) == 1 and '3 of 10 captions' in said[0]
    assert [len(dataset[k]['inputs']['audio']) for k in range(10)] == [1] * 6 + [0] * 3 + [1]
    ImageTextDataset(**tiny)  # reads none, so none need be there
    assert len(said) == 1


def test_an_unpaired_target_hides_what_says_its_captions(tiny):
    dataset = UnpairedDataset(**tiny)
    assert not {'audio_paths', 'caption_audio_paths'} & dataset.get_data_info(0).keys()


@pytest.mark.parametrize('captions', ['each', 'sample', 'all', 'none'])
def test_who_reads_recordings_learns_where_there_are_none(tiny, captions):
    dataset = ImageTextDataset(**tiny, captions=captions, pipeline=READ, audio_required=False)
    items = [dataset.get_data_info(k) for k in range(len(dataset))]
    (silent, *_) = [info for info in items if info['img_id'] == 'tiny/d']
    assert silent['audio_ids'] == silent['audio_paths'] == []
    assert silent['caption_audio_ids'] == [-1] * len(silent['captions'])
    assert all(len(one['caption_audio_ids']) == len(one['captions']) for one in items)
    target = UnpairedDataset(**tiny, pipeline=READ)[0]['data_samples']
    assert target.audio_ids == target.caption_audio_ids == []


def test_masks_alone_come_without_recordings(tiny):
    assert 'audio_paths' not in ImageTextDataset(**tiny, captions='none').get_data_info(0)


@pytest.mark.parametrize('captions', ['each', 'all'])
def test_from_files_to_the_batch(tiny, captions):
    """The loudest band of each row is that of the file that its id names."""
    dataset = ImageTextDataset(
        **tiny, captions=captions, pipeline=READ, audio_required=False, serialize_data=False
    )
    batch = [dataset[k] for k in range(len(dataset))]
    model = RetrievalDataPreprocessor(spectrogram=dict(frames=11))
    audio = model(pseudo_collate(batch))['inputs']['audio']
    samples = [entry['data_samples'] for entry in batch]
    ids = [one for sample in samples for one in sample.get('audio_ids', [])]
    assert len(audio) == len(ids) == (7 if captions == 'each' else 6)
    hertz = {
        stable_id(str(Path(tiny['data_root'], 'audio', name))): value
        for name, value in {**HERTZ, 'e/1.wav': 3000}.items()
    }
    loudest = audio[:, 0, :, 5].argmax(dim=1)
    order = torch.tensor([hertz[one] for one in ids])
    assert np.corrcoef(order.argsort().argsort(), loudest.argsort().argsort())[0, 1] > 0.9
    for sample in samples:
        if 'audio_ids' in sample:
            assert set(sample.audio_ids) <= set(sample.caption_audio_ids)
