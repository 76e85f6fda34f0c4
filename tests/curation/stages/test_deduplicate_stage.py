"""Near duplicates among captions."""

import random
import sys
from pathlib import Path

import pytest

from tests.curation.captions.tiny_captioners import WORDS
from urbancross_mm.curation import DROPPED, DeduplicateStage, ImageRecord, Workspace, run_stage
from urbancross_mm.curation.stages.deduplicate_stage import jaccard, repeats, shingles

TEXT = 'A large school with a red roof stands beside a residential road and many parked cars.'
NEAR = TEXT.replace('many parked cars', 'some parked cars').upper()
FAR = 'Green fields and a river; no building is to be seen.'


def test_shingles_see_letters_of_any_script() -> None:
    assert shingles('A  Road!') == {'a roa', ' road'} and shingles('学校') == {'学校'}
    assert jaccard(shingles(TEXT), shingles(NEAR)) > 0.8 > jaccard(shingles(TEXT), shingles(FAR))


def test_without_the_library_the_first_sentence_says_so(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, 'datasketch', None)
    with pytest.raises(ImportError, match='DeduplicateStage.*pip install datasketch'):
        DeduplicateStage().check(Workspace(tmp_path, tmp_path))


def test_so_many_of_a_group_stay() -> None:
    pytest.importorskip('datasketch')
    texts = [TEXT, FAR, NEAR, TEXT, FAR, '', '']
    assert repeats(texts, 0.8, 1) == [None, None, 0, 0, 1, None, 5]
    assert repeats(texts, 0.8, 2) == [None, None, None, 0, None, None, None]
    assert repeats(texts, 1.0, 1) == [None, None, None, 0, 1, None, 5]
    assert repeats([], 0.8, 1) == []


def test_a_chain_of_small_changes_is_no_group() -> None:
    pytest.importorskip('datasketch')
    words = [f'word{i:03d}' for i in range(40)]
    chain = [' '.join(words[i : i + 20]) for i in range(20)]
    result = repeats(chain, 0.7, 1)
    kept = [text for text, first in zip(chain, result) if first is None]
    assert 2 < len(kept) < 20
    assert all(
        jaccard(shingles(one), shingles(other)) < 0.7
        for i, one in enumerate(kept)
        for other in kept[:i]
    )


def test_sketches_find_what_an_exact_comparison_finds() -> None:
    pytest.importorskip('datasketch')
    draw = random.Random(0)
    texts = [' '.join(draw.choices(WORDS, k=15)) for _ in range(30)]
    for _ in range(60):
        words = draw.choice(texts).split()
        words[draw.randrange(len(words))] = draw.choice(WORDS)
        texts.append(' '.join(words))
    kept: list[int] = []
    for index, text in enumerate(texts):
        if all(jaccard(shingles(text), shingles(texts[other])) < 0.75 for other in kept):
            kept.append(index)
    results = [index for index, first in enumerate(repeats(texts, 0.75, 1)) if first is None]
    assert results == kept and 30 < len(kept) < 90


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    pytest.importorskip('datasketch')
    texts = dict(b=[NEAR], a=[TEXT], d=[TEXT.lower()], c=[FAR], e=['A road and many trees.', FAR])
    outcomes = []
    for names in (sorted(texts), sorted(texts, reverse=True)):
        workspace = Workspace(tmp_path, tmp_path / names[0])
        images = [ImageRecord(name, dict(captions=texts[name])) for name in names]
        kept, report = run_stage(DeduplicateStage(), images, workspace)
        outcomes.append((sorted(image.name for image in kept), report.reasons))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == (['a', 'c', 'e'], {(DROPPED, 'nearly the caption of a'): 2})


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(threshold=0), r'threshold must lie in \(0, 1\], got 0'),
        (dict(max_repeats=0), 'max_repeats must be at least 1, got 0'),
    ],
)
def test_wrong_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DeduplicateStage(**options)
