"""Where an adaptation starts, and what happens where there is nothing to start from."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from urbancross_mm.apis import resolve_source_checkpoint
from urbancross_mm.apis.runs import check_data


def config(start: Path | str | None, **fields: object) -> Config:
    return Config(
        dict(
            model=dict(
                type='CrossModalRetriever',
                adaptation=dict(
                    target='spain', source_checkpoint=None if start is None else str(start)
                ),
            ),
            load_from=None,
            **fields,
        )
    )


def test_a_config_without_a_start_stays_as_it_is() -> None:
    cfg = config(None)
    resolve_source_checkpoint(cfg)
    assert cfg.load_from is None and cfg.model.adaptation.source_checkpoint is None
    plain = Config(dict(model=dict(type='CrossModalRetriever'), load_from=None))
    resolve_source_checkpoint(plain)
    assert plain.load_from is None


def test_the_model_starts_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / 'source.pth'
    path.touch()
    cfg = config(path)
    resolve_source_checkpoint(cfg)
    assert cfg.load_from == cfg.model.adaptation.source_checkpoint == str(path)


def test_of_a_folder_it_takes_the_best(tmp_path: Path) -> None:
    for age, name in enumerate(('best_retrieval_mR_epoch_3.pth', 'epoch_4.pth')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    cfg = config(tmp_path)
    resolve_source_checkpoint(cfg)
    assert (
        cfg.load_from
        == cfg.model.adaptation.source_checkpoint
        == str(tmp_path / 'best_retrieval_mR_epoch_3.pth')
    )


def resumable(work_dir: Path, start: Path, old_version: bool = False) -> None:
    """What a run leaves that began at ``start``."""
    work_dir.mkdir()
    recorded = config('elsewhere', work_dir='x')
    if old_version:
        recorded.model = dict(type='DomainAdaptiveRetriever', start=str(start))
    else:
        recorded.model.adaptation.source_checkpoint = str(start)
    torch.save(
        dict(state_dict={}, meta=dict(cfg=recorded.pretty_text, epoch=2)), work_dir / 'epoch_2.pth'
    )


@pytest.mark.parametrize('named', [True, False])
@pytest.mark.parametrize('old_version', [True, False])
def test_a_resumed_run_keeps_the_start_that_it_had(
    tmp_path: Path, named: bool, old_version: bool
) -> None:
    """The selection needs it. The source's folder may have a better checkpoint by now."""
    for name in ('old.pth', 'new.pth'):
        (tmp_path / name).touch()
    resumable(tmp_path / 'work', tmp_path / 'old.pth', old_version)
    result = str(tmp_path / 'work' / 'epoch_2.pth')
    cfg = config(tmp_path / 'new.pth', resume=True, work_dir=str(tmp_path / 'work'))
    cfg.load_from = result if named else None
    resolve_source_checkpoint(cfg)
    assert (cfg.resume, cfg.load_from) == (True, result)
    assert cfg.model.adaptation.source_checkpoint == str(tmp_path / 'old.pth')


def test_a_missing_start_may_be_named_again(tmp_path: Path) -> None:
    resumable(tmp_path / 'work', tmp_path / 'gone.pth')
    cfg = config(tmp_path / 'new.pth', resume=True, work_dir=str(tmp_path / 'work'))
    with pytest.raises(FileNotFoundError, match='new.pth'):
        resolve_source_checkpoint(cfg)
    (tmp_path / 'new.pth').touch()
    resolve_source_checkpoint(cfg)
    assert cfg.load_from == str(tmp_path / 'work' / 'epoch_2.pth')
    assert cfg.model.adaptation.source_checkpoint == str(tmp_path / 'new.pth')


def test_nothing_to_resume_begins_at_the_start(tmp_path: Path) -> None:
    (tmp_path / 'source.pth').touch()
    cfg = config(tmp_path / 'source.pth', resume=True, work_dir=str(tmp_path / 'work'))
    resolve_source_checkpoint(cfg)
    assert not cfg.resume and cfg.load_from == cfg.model.adaptation.source_checkpoint == str(
        tmp_path / 'source.pth'
    )


@pytest.mark.parametrize('folder', [True, False])
def test_nothing_to_start_from(tmp_path: Path, folder: bool) -> None:
    start = tmp_path if folder else tmp_path / 'source.pth'
    with pytest.raises(
        FileNotFoundError,
        match=f'{start}.*source_checkpoint=PATH',
    ):
        resolve_source_checkpoint(config(start))


@pytest.mark.parametrize('recorded', ['model = (', 'x' * 3 + '\0', 7, None, '', 'model = dict()'])
def test_a_record_of_another_program_names_no_start(recorded: object, tmp_path: Path) -> None:
    (tmp_path / 'work').mkdir()
    (tmp_path / 'new.pth').touch()
    for meta in (dict(cfg=recorded), recorded, {}):
        torch.save(dict(state_dict={}, meta=meta), tmp_path / 'work/epoch_2.pth')
        cfg = config(tmp_path / 'new.pth', resume=True, work_dir=str(tmp_path / 'work'))
        resolve_source_checkpoint(cfg)
        assert cfg.model.adaptation.source_checkpoint == str(tmp_path / 'new.pth')


@pytest.mark.parametrize(
    ('key', 'value'),
    [('data_root', None), ('data_root', 3), ('ann_file', None), ('ann_file', ['a.json'])],
)
def test_a_path_of_another_type_is_named(key: str, value: object) -> None:
    dataset = dict(dict(type='ImageTextDataset', data_root='x', ann_file='a.json'), **{key: value})
    wrapped = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[dataset]))
    cfg = Config(dict(model=dict(type='A'), val_dataloader=dict(dataset=wrapped)))
    with pytest.raises(ValueError, match=f'{key} of ImageTextDataset in val_dataloader'):
        check_data(cfg)


def test_a_missing_source_is_named_before_a_model_is_built(tmp_path: Path) -> None:
    def cfg(source: object) -> Config:
        part = dict(
            type='UnlabeledDataset', modality='text', data_root=str(tmp_path), source=source
        )
        dataset = dict(type='ConcatDataset', datasets=[part])
        sampler = dict(type='CrossDomainSampler', source=dict(finland=80))  # no such source
        loader = dict(dataset=dataset, batch_sampler=sampler)
        return Config(dict(model=dict(type='A'), train_dataloader=loader))

    with pytest.raises(FileNotFoundError, match=r'source of text in train_dataloader .*none\.txt'):
        check_data(cfg('none.txt'))
    with pytest.raises(ValueError, match='source of UnlabeledDataset in train_dataloader .*3'):
        check_data(cfg(3))
    (tmp_path / 'texts.txt').touch()
    check_data(cfg('texts.txt'))
    check_data(cfg('.'))


def test_a_config_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match='model'):
        check_data(Config(dict(train_cfg=dict())))
