"""Ids, not diagonals, say which texts are positives of which images."""

import torch

from urbancross_mm.structures.batch_ids import BatchIds, positives, select_ids


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
