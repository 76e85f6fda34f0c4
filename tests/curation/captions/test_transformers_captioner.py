"""Captions by random InstructBLIP, BLIP-2 and LLaVA models that were saved to disk."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.curation.captions import tiny_captioners as tiny
from tests.curation.geo.workspaces import make_workspace
from urbancross_mm.curation import (
    DROPPED,
    FAILED,
    CaptionStage,
    Outcome,
    TransformersCaptioner,
    run_stage,
)

IMAGES = {
    'a.png': dict(
        focus=['amenity of school'],
        around=['road of service', 'road of residential'],
        label='airport',
    ),
    'b.png': dict(focus=[], around=[], label='parking_field'),
    'c.png': dict(focus=['road of {service}'], around=[], label=None),
}
MAKERS = dict(instructblip=tiny.make_instructblip, blip2=tiny.make_blip2, llava=tiny.make_llava)
PROMPTS = dict(
    prompt='describe the tags : {geo_tags} in detail', prompt_without_tags='describe the image'
)


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp(name) / 'model') for name, make in MAKERS.items()}


def captioner(folder: Path, **options) -> dict:
    return {
        **dict(
            type='TransformersCaptioner',
            path=str(folder),
            chat=folder.parent.name.startswith('llava'),
            generation=dict(num_beams=2, max_new_tokens=10),
        ),
        **PROMPTS,
        **options,
    }


def captions(stage: CaptionStage, images, workspace) -> dict[str, list[str]]:
    shutil.rmtree(workspace.out / 'manifest', ignore_errors=True)
    stage.check(workspace)
    kept, _ = run_stage(stage, images, workspace)
    return {image.name: image.fields['captions'] for image in kept}


@pytest.mark.parametrize('kind', MAKERS)
def test_a_batch_gets_the_captions_of_single_images(folders, kind: str, tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    whole = captions(CaptionStage(captioner(folders[kind]), 3), images, workspace)
    assert whole == captions(CaptionStage(captioner(folders[kind]), 1), images, workspace)
    words = {word for texts in whole.values() for text in texts for word in text.split()}
    # Words, no marks of the tokenizer; and not the prompt said once more.
    assert words <= set(tiny.WORDS) and not any(
        'describe the' in item[0] for item in whole.values()
    )
    assert all(len(texts) == 1 and len(texts[0].split()) <= 10 for texts in whole.values())
    assert len(set(map(tuple, whole.values()))) > 1


def asked(folder: Path, monkeypatch: pytest.MonkeyPatch, images, workspace, **options) -> list[str]:
    """What the processor is given to read."""
    stage, seen = CaptionStage(captioner(folder, **options), 3), []
    stage.begin(workspace, [])
    processor = stage.captioner.processor

    def spy(images, text, **rest):
        seen.extend(text)
        return processor(images=images, text=text, **rest)

    stage.captioner.processor, spy.apply_chat_template = spy, processor.apply_chat_template
    stage.process(images, workspace)
    return seen


def test_the_prompt_carries_the_tags(folders, monkeypatch, tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    plain = asked(folders['instructblip'], monkeypatch, images, workspace)
    assert plain == [
        'describe the tags : amenity of school; surrounded by road of service, road of residential '
        'in detail',
        'describe the image',
        'describe the tags : road of {service} in detail',
    ]
    chat = asked(
        folders['llava'],
        monkeypatch,
        images,
        workspace,
        prompt='{label} : {geo_tags}',
        prompt_without_tags='label {label}',
    )
    assert chat[0].startswith('USER: <image> airport : amenity of school; surrounded')
    assert chat[1] == 'USER: <image> label parking field ASSISTANT:'


def test_tags_and_pixels_change_the_caption(folders, tmp_path: Path) -> None:
    workspace, images = make_workspace(
        tmp_path,
        {'a.png': IMAGES['a.png'], 'b.png': IMAGES['a.png'], 'c.png': IMAGES['b.png']},
    )
    shutil.copy(workspace.image_path(images[0]), workspace.image_path(images[2]))
    results = captions(CaptionStage(captioner(folders['instructblip']), 3), images, workspace)
    assert len({texts[0] for texts in results.values()}) == 3


def test_what_a_caption_depends_on_stands_in_the_settings(folders, tmp_path: Path) -> None:
    folder = folders['instructblip']
    workspace, _ = make_workspace(tmp_path, {})

    def settings(**options) -> dict:
        return CaptionStage(captioner(folder, **options)).settings(workspace)

    other = tiny.make_instructblip(tmp_path / 'other', seed=1)
    duplicate = shutil.copytree(folder, tmp_path / 'duplicate')
    assert settings() == settings(path=str(duplicate)) and str(folder) not in str(settings())
    changes = [
        dict(prompt='{geo_tags}'),
        dict(prompt_without_tags='x'),
        dict(path=str(other)),
        dict(generation=dict(num_beams=1)),
        dict(dtype='bfloat16'),
        dict(chat=True),
    ]
    assert len({str(settings(**change)) for change in [{}, *changes]}) == 7
    assert settings(seed=1) == settings()
    assert CaptionStage(captioner(folder)).reads == ('sha', 'focus', 'around')
    assert 'label' in CaptionStage(captioner(folder, prompt='{label}')).reads
    hub = CaptionStage(captioner(folder, path='lab/model', revision='v2')).settings(workspace)
    assert hub['weights'] == 'lab/model@v2'


def test_sampling_is_repeatable(folders, tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    sampled = dict(
        generation=dict(
            do_sample=True, max_new_tokens=10, temperature=2.0, num_beams=1, num_return_sequences=2
        )
    )
    stages = [
        CaptionStage(captioner(folders['instructblip'], **sampled, seed=seed), 3)
        for seed in (0, 0, 1)
    ]
    first, again, other = (captions(stage, images, workspace) for stage in stages)
    assert first == again and first != other
    assert all(len(texts) == 2 for texts in first.values())
    state = torch.get_rng_state()
    stages[0].process(images, workspace)
    assert torch.get_rng_state().equal(state)
    assert stages[0].settings(workspace) != stages[2].settings(workspace)
    assert stages[0].settings(workspace)['batch_size'] == 3


def test_a_torn_image_does_not_spoil_its_batch(folders, tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    whole = captions(CaptionStage(captioner(folders['instructblip']), 3), images, workspace)
    workspace.image_path(images[1]).write_bytes(b'no image')
    stage = CaptionStage(captioner(folders['instructblip']), 3)
    shutil.rmtree(workspace.out / 'manifest')
    kept, report = run_stage(stage, images, workspace)
    assert {image.name: image.fields['captions'] for image in kept} == {
        name: whole[name] for name in ('a.png', 'c.png')
    }
    assert report.counts[FAILED] == 1 and 'b.png cannot be decoded' in str(report)


def test_silence_is_dropped(folders, tmp_path: Path, monkeypatch) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    monkeypatch.setattr(TransformersCaptioner, 'begin', lambda *_: None)
    monkeypatch.setattr(
        TransformersCaptioner,
        'caption',
        lambda self, batch, pixels: [Outcome(dict(captions=[' ']))] * len(batch),
    )
    _, report = run_stage(CaptionStage(captioner(folders['blip2'])), images, workspace)
    assert report.reasons[DROPPED, 'the captioner wrote nothing'] == 3


def test_a_model_that_is_not_there_is_named_before_anything_runs(tmp_path: Path) -> None:
    workspace, _ = make_workspace(tmp_path, {})
    for path in (str(tmp_path / 'none'), 'weights/none', 'some-lab/some-model'):
        with pytest.raises(FileNotFoundError, match=path) as info:
            CaptionStage(captioner(tmp_path, path=path)).check(workspace)
        assert 'allow_download=True' in str(info.value) and '\n' not in str(info.value)


def test_a_folder_that_does_not_fit_is_named_before_anything_runs(folders, tmp_path: Path) -> None:
    from transformers import BertConfig

    workspace, _ = make_workspace(tmp_path, {})
    bare = shutil.copytree(
        folders['llava'], tmp_path / 'bare', ignore=shutil.ignore_patterns('*.safetensors')
    )
    with pytest.raises(FileNotFoundError, match='bare.*weights'):
        CaptionStage(captioner(bare)).check(workspace)
    BertConfig().save_pretrained(tmp_path / 'bert')
    with pytest.raises(ValueError, match='bert.*BertConfig'):
        CaptionStage(captioner(tmp_path / 'bert')).check(workspace)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty.*config.json'):
        CaptionStage(captioner(tmp_path / 'empty')).check(workspace)
    (tmp_path / 'empty' / 'config.json').write_text('{')
    with pytest.raises(ValueError, match='empty'):
        CaptionStage(captioner(tmp_path / 'empty')).check(workspace)
    with pytest.raises(ValueError, match='chat=True.*blip2'):
        CaptionStage(captioner(folders['blip2'], chat=True)).begin(workspace, [])


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(dtype='half'), "dtype.*'half'"),
        (dict(prompt='{tags}'), r"prompt.*\{geo_tags\}, \{label\}, got \['tags'\]"),
        (dict(prompt_without_tags='{geo_tags}'), r'prompt_without_tags.*\{label\}'),
        (dict(generation=dict(max_tokens=3)), r"generation.*'max_tokens'"),
    ],
)
def test_wrong_options_are_named(folders, tmp_path: Path, options: dict, named: str) -> None:
    workspace, _ = make_workspace(tmp_path, {})
    with pytest.raises(ValueError, match=named):
        CaptionStage(captioner(folders['blip2'], **options)).check(workspace)


def test_a_cpu_computes_in_full_precision(folders, tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    stages = [
        CaptionStage(captioner(folders['instructblip'], dtype=dtype), 3)
        for dtype in ('float16', 'float32')
    ]
    half, full = (captions(stage, images, workspace) for stage in stages)
    assert half == full and stages[0].captioner.model.dtype == torch.float32
