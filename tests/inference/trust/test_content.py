"""What a target lacks, against a loop, and in worlds where it is known."""

import math

import pytest
import torch

from tests.inference.trust.world import items
from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.inference.trust.content import missing_content


def naive(target: Target, source: Target) -> tuple[float, float]:
    """One item at a time, for domains of equal size."""
    scores = [float(image @ text) for image in source.image_embeds for text in source.text_embeds]
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum((s - mean) ** 2 for s in scores) / (len(scores) - 1))

    def best(row: torch.Tensor, others: torch.Tensor) -> float:
        return sum(sorted((float(row @ other) for other in others), reverse=True)[:5]) / 5

    shares = []
    for rows, own, others in (
        (target.image_embeds, target.text_embeds, source.text_embeds),
        (target.text_embeds, target.image_embeds, source.image_embeds),
    ):
        lost = [best(row, others) - best(row, own) > spread for row in rows]
        shares.append(sum(lost) / len(lost))
    return shares[0], shares[1]


def test_against_a_loop() -> None:
    target, source = items(each=5, told=range(6, 14))[0].target, items(each=5)[0].target
    found = missing_content(target, source)
    assert tuple(found.values()) == pytest.approx(naive(target, source))
    assert 0 < found['missing_texts'] < 1


def test_a_domain_lacks_nothing_of_itself() -> None:
    target = items()[0].target
    assert missing_content(target, target) == dict(missing_texts=0.0, missing_images=0.0)


def test_texts_of_other_classes_are_missed_by_the_images() -> None:
    source = items()[0].target
    some, other = (items(told=told)[0].target for told in (range(4, 12), range(8, 16)))
    found = [missing_content(target, source) for target in (source, some, other)]
    assert found[0]['missing_texts'] < 0.05
    assert 0.1 < found[1]['missing_texts'] < found[2]['missing_texts'] - 0.1


def test_images_that_the_source_has_are_missed_by_the_texts() -> None:
    source = items(seen=range(16), told=range(16))[0].target
    found = missing_content(items(told=range(16))[0].target, source)
    assert found['missing_images'] > 0.25


def test_a_smaller_source_is_compared_with_as_many_items() -> None:
    target, source = items()[0].target, items(each=4)[0].target
    found = missing_content(target, source)
    assert found == missing_content(target, source) and 0 <= found['missing_texts'] < 0.2
