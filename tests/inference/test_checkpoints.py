"""Which checkpoint a path means, and the model config without its sources of weights."""

import os
from pathlib import Path

import pytest

from urbancross_mm.inference.checkpoints import for_checkpoint, resolve_checkpoint


def touch(folder: Path, *names: str) -> None:
    """Files, each younger than the one before."""
    for age, name in enumerate(names):
        (folder / name).touch()
        os.utime(folder / name, (age, age))


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (('best_retrieval_mR_epoch_3.pth', 'epoch_4.pth'), 'best_retrieval_mR_epoch_3.pth'),
        (('best_a_epoch_5.pth', 'best_a_epoch_3.pth'), 'best_a_epoch_3.pth'),
        (('epoch_9.pth', 'epoch_10.pth'), 'epoch_10.pth'),
        (('best_label_free_agreement_epoch_1.pth', 'epoch_2.pth'), 'epoch_2.pth'),
    ],
)
def test_a_folder_stands_for_a_checkpoint(
    names: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    touch(tmp_path, *names)
    assert resolve_checkpoint(str(tmp_path)) == str(tmp_path / expected)


def test_a_file_stands_for_itself_and_nothing_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, 'notes.txt')
    assert resolve_checkpoint(str(tmp_path / 'notes.txt')) == str(tmp_path / 'notes.txt')
    for path in (tmp_path, tmp_path / 'a.pth'):
        with pytest.raises(FileNotFoundError, match=str(path)):
            resolve_checkpoint(str(path))


def test_a_missing_run_is_named_if_it_was_one_of_the_sample(tmp_path: Path) -> None:
    (tmp_path / 'sirs_sample').mkdir()
    with pytest.raises(FileNotFoundError, match='--sample wrote to .*/sirs_sample$'):
        resolve_checkpoint(f'{tmp_path}/sirs/')
    with pytest.raises(FileNotFoundError, match=r'train\.py\)$'):
        resolve_checkpoint(f'{tmp_path}/other')


def test_a_setting_is_no_checkpoint() -> None:
    with pytest.raises(ValueError, match='TARGET=spain .*--cfg-options'):
        resolve_checkpoint('TARGET=spain')


def test_sources_of_weights_are_left_out_at_any_depth() -> None:
    model = dict(
        type='A',
        init_cfg=dict(type='Pretrained', checkpoint='a.pth'),
        parts=[dict(type='B', depth=3, init_cfg=None, weights_dir='data/skip_thoughts')],
        adaptation=dict(target='spain', source_checkpoint='work_dirs/a'),
        gradient_cache=32,  # the embeddings are the same
        activation_checkpointing=['image_encoder'],
    )
    assert for_checkpoint(model) == dict(
        type='A', parts=[dict(type='B', depth=3)], adaptation=dict(target='spain')
    )
    assert 'init_cfg' in model


def test_an_open_clip_tower_keeps_its_activation() -> None:
    tower = dict(type='OpenCLIPImageEncoder', model_name='ViT-B-32', pretrained='openai')
    assert for_checkpoint(dict(image_encoder=tower))['image_encoder'] == dict(
        tower, pretrained=None, force_quick_gelu=True
    )
    tokenizer = dict(type='OpenCLIPTokenizer', model_name='ViT-B-32')
    assert for_checkpoint(tokenizer) == tokenizer
