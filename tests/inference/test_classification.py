"""Classes by names and examples, against the plain largest product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.inference.small_embedder import COLORS, SmallEmbedder, write_image
from urbancross_mm.inference.classification import (
    SceneClassifier,
    example_vectors,
    find_examples,
    read_classes,
    text_vectors,
)
from urbancross_mm.inference.classified_items import classify, items_of, label_names
from urbancross_mm.inference.indexing import IndexBuilder, open_sources


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder per class, as UC Merced has them; one image lies in the wrong one."""
    for color in COLORS:
        for n in range(4):
            write_image(tmp_path / 'scenes' / f'all_{color}' / f'{n}.png', color, seed=n)
    write_image(tmp_path / 'scenes/all_red/4.png', 'blue')
    return tmp_path / 'scenes'


def test_the_class_is_the_largest_product() -> None:
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(50, 8, generator=generator)
    classes = torch.randn(5, 8, generator=generator) * torch.arange(1, 6)[:, None]
    prediction = SceneClassifier(list('abcde'), classes).predict(embeds)
    for row in range(50):
        scores = [float(embeds[row] @ c / embeds[row].norm() / c.norm()) for c in classes]
        assert int(prediction.classes[row]) == int(np.argmax(scores))
        assert float(prediction.scores[row]) == pytest.approx(max(scores), abs=1e-6)


def test_prompts_are_averaged() -> None:
    embedder = SmallEmbedder()
    rows = embedder.encode_texts(['red', 'red and blue'])
    mean = rows.mean(0) / rows.mean(0).norm()
    vectors = text_vectors(embedder, ['red', 'gray'], ['{}', '{} and blue'])
    torch.testing.assert_close(vectors[0], mean)


def test_examples_are_the_mean_of_their_images(scenes: Path) -> None:
    embedder = SmallEmbedder()
    examples = find_examples(scenes, ['all red', 'all-gray'])
    assert [len(paths) for paths in examples.values()] == [5, 4]
    rows = embedder.encode_images(examples['all red'])
    expected = rows.mean(0) / rows.mean(0).norm()
    torch.testing.assert_close(example_vectors(embedder, examples)[0], expected)


def test_accuracy_and_the_table_of_the_classes(scenes: Path) -> None:
    embedder = SmallEmbedder()
    names = label_names(str(scenes), None)
    assert names == ['all_blue', 'all_gray', 'all_green', 'all_red']
    classifier = SceneClassifier(names, text_vectors(embedder, names, ['{}']))
    rows, report = classify(classifier, items_of(embedder, str(scenes), None))
    assert len(rows) == report.images == 17
    assert report.accuracy == pytest.approx(100 * 16 / 17)
    assert report.table['all_red'] == (5, 100.0, 80.0, pytest.approx(88.889, abs=1e-3))
    assert report.table['all_blue'] == (4, 80.0, 100.0, pytest.approx(88.889, abs=1e-3))
    assert report.mean_f1 == pytest.approx((200 + 2 * 88.8889) / 4, abs=1e-3)
    assert 'accuracy 94.12' in str(report) and 'all_red ' in str(report)
    wrong = [row for row in rows if row['class'] != row['label']]
    assert [row['id'] for row in wrong] == ['scenes/all_red/4.png']


def test_an_index_gives_the_same(scenes: Path, tmp_path: Path) -> None:
    embedder, index = SmallEmbedder(), str(tmp_path / 'index')
    IndexBuilder(embedder, index, progress=False).build(open_sources([str(scenes)]))
    names = label_names(str(scenes), None)
    classifier = SceneClassifier(names, text_vectors(embedder, names, ['{}']))
    by_images = classify(classifier, items_of(embedder, str(scenes), None))
    by_index = classify(classifier, items_of(embedder, None, index))
    assert by_images[1] == by_index[1]
    for first, second in zip(*[sorted(r[0], key=lambda x: x['id']) for r in (by_images, by_index)]):
        assert first == dict(second, score=pytest.approx(first['score'], abs=1e-5))


def test_examples_do_not_count_in_the_accuracy(scenes: Path, tmp_path: Path) -> None:
    embedder = SmallEmbedder()
    names = ['all_red', 'all_blue']
    classifier = SceneClassifier(names, text_vectors(embedder, names, ['{}']))
    for name in names:
        (tmp_path / 'few' / name).mkdir(parents=True)
        (tmp_path / 'few' / name / '0.png').symlink_to(scenes / name / '0.png')
    _, report = classify(classifier, items_of(embedder, str(scenes), None), str(tmp_path / 'few'))
    assert report.images == 4 + 3


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    write_image(tmp_path / 'x/a.png', 'red')
    embedder = SmallEmbedder()
    classifier = SceneClassifier(['red', 'blue'], text_vectors(embedder, ['red', 'blue'], ['{}']))
    rows, report = classify(classifier, items_of(embedder, str(tmp_path / 'x'), None))
    assert rows[0]['class'] == 'red' and 'label' not in rows[0] and 'none has a label' in report
    # Folders above the source are not about its images.
    write_image(tmp_path / 'blue/x/a.png', 'red')
    rows, report = classify(classifier, items_of(embedder, str(tmp_path / 'blue/x'), None))
    assert 'label' not in rows[0] and 'none has a label' in report


def test_unreadable_images(tmp_path: Path, capsys) -> None:
    write_image(tmp_path / 'x/a.png', 'red')
    (tmp_path / 'x/b.png').write_bytes(b'none')
    with pytest.raises(ValueError, match=r'b\.png'):
        list(items_of(SmallEmbedder(), str(tmp_path / 'x'), None))
    (batch,) = items_of(SmallEmbedder(), str(tmp_path / 'x'), None, skip_bad=True)
    assert batch.ids == ['x/a.png'] and '1 of 2' in capsys.readouterr().out
    (tmp_path / 'x/a.png').unlink()
    with pytest.raises(ValueError, match='none of the 1'):
        list(items_of(SmallEmbedder(), str(tmp_path / 'x'), None, skip_bad=True))


def test_classes_by_names_and_by_file(tmp_path: Path) -> None:
    assert read_classes(['dense_residential', 'tennis-court=a tennis court']) == {
        'dense_residential': 'dense residential',
        'tennis-court': 'a tennis court',
    }
    (tmp_path / 'c.txt').write_text('# classes\nharbor\n\nforest = many trees\n')
    expected = dict(harbor='harbor', forest='many trees')
    assert read_classes([str(tmp_path / 'c.txt')]) == expected
    for given in (['one'], ['a', 'a'], ['a', '=b']):
        with pytest.raises(ValueError, match='class'):
            read_classes(given)


@pytest.mark.parametrize(
    ('names', 'embeds'),
    [(['a'], torch.eye(1)), (['a', 'a'], torch.eye(2)), (['a', 'b'], torch.eye(3))],
)
def test_impossible_classes(names: list[str], embeds: torch.Tensor) -> None:
    with pytest.raises(ValueError, match='class'):
        SceneClassifier(names, embeds)


def test_what_is_missing(scenes: Path) -> None:
    with pytest.raises(ValueError, match='--classes'):
        label_names(str(scenes / 'all_red'), None)
    with pytest.raises(ValueError, match='--classes'):
        label_names(None, 'index')
    with pytest.raises(ValueError, match='harbor'):
        find_examples(scenes, ['all_red', 'harbor'])
    embedder = SmallEmbedder()
    with pytest.raises(ValueError, match="'x'"):
        example_vectors(embedder, dict(x=[]))
    embedder.model.score_pairs = lambda a, b: a
    with pytest.raises(ValueError, match='scores pairs'):
        text_vectors(embedder, ['a', 'b'], ['{}'])
