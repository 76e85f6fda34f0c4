"""Captions by template."""

from pathlib import Path

import pytest

from tests.curation.geo.workspaces import make_workspace
from urbancross_mm.curation import (
    DROPPED,
    KEPT,
    CaptionStage,
    ImageRecord,
    Outcome,
    TemplateCaptioner,
    Workspace,
    run_stage,
)
from urbancross_mm.curation.captions.captioners import NOTHING_KNOWN

SCHOOL = dict(focus=['amenity of school'], around=['road of service', 'amenity of school'])


def one(**options) -> TemplateCaptioner:
    return TemplateCaptioner(
        **{
            **dict(
                templates=['{focus} by {around}.'],
                focus_templates=['See {focus}.'],
                label_templates=['{label} scene.'],
            ),
            **options,
        }
    )


def test_what_is_known_of_an_image_chooses_the_kind_of_template() -> None:
    captioner = one()
    for fields, wanted in (
        (SCHOOL, 'A school by a service road.'),
        (dict(SCHOOL, around=[]), 'See a school.'),
        (dict(focus=[], around=['road of service'], label='x'), 'See a service road.'),
        (dict(SCHOOL, around=SCHOOL['focus']), 'See a school.'),
        (dict(focus=[], around=[], label='dense_industrial'), 'A dense industrial scene.'),
        (dict(label='airport'), 'An airport scene.'),
    ):
        assert captioner.describe(ImageRecord('a.jpg', fields)) == wanted
    for fields in (dict(), dict(focus=[], around=[], label=None), dict(focus=[' '])):
        assert captioner.describe(ImageRecord('a.jpg', fields)) is None


def test_captions_vary_with_the_name_and_never_change() -> None:
    captioner = TemplateCaptioner()
    texts = [captioner.describe(ImageRecord(f'{i}.jpg', SCHOOL)) for i in range(40)]
    assert len(set(texts)) == 4
    assert all('a school' in text and 'a service road' in text for text in texts)
    assert texts == [
        TemplateCaptioner().describe(ImageRecord(f'{i}.jpg', SCHOOL)) for i in range(40)
    ]


def test_a_caption_names_five_tags_at_most() -> None:
    fields = dict(focus=[f'amenity of place {letter}' for letter in 'abcdef'])
    text = one().describe(ImageRecord('a', fields))
    assert 'place e' in text and 'place f' not in text


@pytest.mark.parametrize(
    'options, named',
    [
        (
            dict(templates=['{label}']),
            r"templates.*\{focus\}, \{around\}, got \['label'\]",
        ),
        (dict(focus_templates=[]), r'focus_templates.*got \[\]'),
        (dict(label_templates='{label}'), 'label_templates.*got'),
    ],
)
def test_wrong_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TemplateCaptioner(**options)


def test_the_stage_needs_no_pixels_and_says_who_wrote(tmp_path: Path) -> None:
    workspace, images = make_workspace(
        tmp_path, {'a.png': SCHOOL, 'b.png': {}, 'c.png': dict(label='sea')}
    )
    for image in images:
        workspace.image_path(image).unlink()
    stage = CaptionStage(dict(type='TemplateCaptioner'), batch_size=2)
    assert stage.reads == ('focus', 'around', 'label')
    kept, report = run_stage(stage, images, workspace)
    assert [image.name for image in kept] == ['a.png', 'c.png']
    assert report.counts == {KEPT: 2, DROPPED: 1} and report.reasons[DROPPED, NOTHING_KNOWN] == 1
    assert (
        '"captioner": "TemplateCaptioner"' in (workspace.out / 'manifest/caption.jsonl').read_text()
    )


def test_other_templates_write_captions_again(tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, {'a.png': SCHOOL})
    run_stage(CaptionStage(dict(type='TemplateCaptioner')), images, workspace)
    other = CaptionStage(dict(type='TemplateCaptioner', templates=['{focus}!']))
    kept, report = run_stage(other, images, workspace)
    assert report.made == 1 and kept[0].fields['captions'] == ['A school!']


def test_half_a_character_is_no_failure(tmp_path: Path) -> None:
    class Torn(TemplateCaptioner):
        def caption(self, images, pixels):
            return [Outcome(dict(captions=['a tree \ud83d', 'a road']))] * len(images)

    stage = CaptionStage(dict(type='TemplateCaptioner'))
    stage.captioner = Torn()
    (image,), _ = run_stage(stage, [ImageRecord('a.png')], Workspace(tmp_path, tmp_path))
    assert image.fields['captions'] == ['a tree ?', 'a road']
