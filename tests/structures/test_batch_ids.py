"""Ids, not diagonals, say which texts are positives of which images."""

import pytest
import torch

from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.structures.batch_ids import (
    BatchIds,
    batch_ids,
    partners,
    positives,
    select_ids,
)


def ids(keys: list[int], texts: list[int], captions: list[list[int]]) -> BatchIds:
    rows = [torch.arange(len(keys)), *map(torch.tensor, (keys, texts, captions))]
    return BatchIds(*rows)


IMAGES = ids([10, 20, 30], [1, 3, 5], [[1, 2, -1], [3, 4, 2], [5, -1, -1]])
TEXTS = ids([10, 20, 10, 40], [1, 3, 2, 5], [[1], [3], [2], [5]])


def test_a_text_is_a_positive_of_its_image_and_of_equal_captions() -> None:
    assert positives(IMAGES, equal_captions=False, others=TEXTS).tolist() == [
        [True, False, True, False],
        [False, True, False, False],
        [False] * 4,
    ]
    assert positives(IMAGES, others=TEXTS).tolist() == [
        [True, False, True, False],
        [False, True, True, False],
        [False, False, False, True],
    ]
    assert torch.equal(positives(IMAGES), torch.eye(3, dtype=torch.bool))


def test_padding_is_no_caption() -> None:
    image, text = ids([1], [5], [[5, -1]]), ids([2], [-1], [[-1]])
    assert positives(image, others=text).tolist() == [[False]]


def test_some_pairs_keep_their_ids() -> None:
    some = select_ids(TEXTS, torch.tensor([3, 1]))
    assert some.image_keys.tolist() == [40, 20] and some.caption_ids.tolist() == [[5], [3]]


def spoken(text_ids: list[int], audio_ids: list[int], **captions: list[int]) -> RetrievalDataSample:
    named = {f'caption_{name}_ids': ids for name, ids in captions.items()}
    own = dict(img_id=f'set/{text_ids}', text_ids=text_ids, audio_ids=audio_ids)
    return RetrievalDataSample(metainfo=dict(own, **named))


def test_what_has_no_recording_has_no_row() -> None:
    samples = [
        spoken([1], [], text=[1, 2], audio=[-1, 7]),
        spoken([3], [8], text=[3], audio=[8]),
        RetrievalDataSample(metainfo=dict(img_id='set/none', text_ids=[4, 5])),
        spoken([6], [9]),
    ]
    found = batch_ids(samples, torch.device('cpu'), 'audio')
    assert found.owners.tolist() == [1, 3] and found.text_ids.tolist() == [8, 9]
    assert not positives(found).fill_diagonal_(False).any()
    assert partners(samples, 'image', 'audio') == [1, 3]
    assert partners(samples, 'text', 'audio') == [1, 4]


def test_captions_say_which_text_a_recording_has() -> None:
    # The first caption was encoded with an earlier image, the last one has no recording.
    own = spoken([2, 3, 4], [7, 8], text=[1, 2, 3, 4], audio=[-1, 7, 8, -1])
    assert partners([spoken([9], [6]), own], 'text', 'audio') == [0, 1, 2]
    assert partners([spoken([2, 3], [8, 7])], 'text', 'audio') == [0, 1]
    shared = spoken([1, 2], [7], text=[0, 1, 2], audio=[7, 7, 7])
    assert partners([shared], 'text', 'audio') in ([0], [1])
    with pytest.raises(ValueError, match=r'set/\[2, 3\]: 2 items of text for 2 of audio'):
        partners([spoken([2, 3], [6, 7], text=[1, 2, 3], audio=[6, 7, -1])], 'text', 'audio')
