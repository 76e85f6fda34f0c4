"""The stage that cleans captions, with the vocabulary of CLIP."""

from pathlib import Path

import pytest

from tests.curation.captions import tiny_captioners as tiny
from urbancross_mm.curation import DROPPED, ImageRecord, RefineStage, Workspace, run_stage
from urbancross_mm.curation.captions.token_counters import CLIPTokenCounter


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, tmp_path / 'out')


def refine(workspace: Workspace, captions: dict[str, list[str] | None], **options):
    images = [ImageRecord(name, dict(captions=texts)) for name, texts in captions.items()]
    return run_stage(RefineStage(**options), images, workspace)


def test_captions_fit_into_the_context_of_clip(workspace: Workspace) -> None:
    import open_clip

    words = ' '.join(f'roof{i} beside trees,' for i in range(700))
    texts = {
        'sentences': 'A red roof near a road. ' * 3
        + ' '.join(f'House number {i} stands there, in the shade of trees.' for i in range(40)),
        'words': words,
        'run': 'x' * 5000,
        'chinese': '学校旁边有一条路和很多树' * 100,
        'arabic': 'مدرسة بجانب الطريق. ' * 3,
        'hindi': 'स्कूल के पास सड़क है।',
    }
    kept, _ = refine(workspace, {name: [text] for name, text in texts.items()})
    results = {image.name: image.fields['captions'][0] for image in kept}
    assert list(results) == list(texts)
    counter = CLIPTokenCounter()
    counter.begin()
    counts = {name: counter(text) for name, text in results.items()}
    assert all(count <= 77 for count in counts.values())
    # What CLIP reads is what stands there: nothing is cut off by the model itself.
    tokens = open_clip.get_tokenizer('ViT-B-16')(list(results.values()))
    assert [int((row != 0).sum()) for row in tokens] == list(counts.values())
    assert results['sentences'].endswith('trees.') and results['sentences'].count('red roof') == 1
    assert counts['words'] > 70 and words.startswith(results['words'])
    assert counts['run'] > 70 and counts['chinese'] > 70
    assert texts['chinese'].startswith(results['chinese'])
    assert results['arabic'] == 'مدرسة بجانب الطريق.' and results['hindi'] == texts['hindi']


def test_an_image_without_captions_goes_with_the_last_reason(workspace: Workspace) -> None:
    kept, report = refine(
        workspace,
        {
            'a': ['', 'As an AI, I cannot.'],
            'b': ['As an AI, I cannot.', ' '],
            'c': None,
            'd': ['', 'A road.'],
        },
    )
    assert [image.name for image in kept] == ['d'] and kept[0].fields['captions'] == ['A road.']
    assert report.reasons == {
        (DROPPED, "refusal: 'As an AI, I cannot.'"): 1,
        (DROPPED, 'empty caption'): 1,
        (DROPPED, 'no caption'): 1,
    }


def test_a_tokenizer_of_ones_own(workspace: Workspace, tmp_path: Path) -> None:
    tiny.tokenizer().save_pretrained(tmp_path / 'tokens')
    counter = dict(type='HuggingFaceTokenCounter', path=str(tmp_path / 'tokens'))
    # A begin token and three words.
    kept, _ = refine(
        workspace, {'a': ['a big red roof and trees']}, max_tokens=4, tokenizer=counter
    )
    assert kept[0].fields['captions'] == ['a big red']
    other = RefineStage(tokenizer=dict(counter, path=str(tmp_path / 'none')))
    with pytest.raises(FileNotFoundError, match='none'):
        other.check(workspace)


def test_every_option_that_counts_refines_again(workspace: Workspace) -> None:
    options = [
        {},
        dict(max_tokens=20),
        dict(refusals=['x']),
        dict(tokenizer=dict(type='HuggingFaceTokenCounter', path='lab/tokens')),
    ]
    assert len({str(RefineStage(**item).settings(workspace)) for item in options}) == 4
    assert RefineStage(batch_size=3).settings(workspace) == RefineStage().settings(workspace)


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(max_tokens=2), 'max_tokens.*got 2'),
        (dict(refusals='sorry'), "refusals.*got 'sorry'"),
        (dict(refusals=['(']), r"refusals.*'\('"),
        (dict(batch_size=0), 'batch_size.*got 0'),
    ],
)
def test_wrong_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RefineStage(**options)
