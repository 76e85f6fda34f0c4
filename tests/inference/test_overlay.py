"""The sample overlay turns any config into a small one, and nothing else."""

from urbancross_mm.inference.overlay import apply_overlay


def test_overlay_rules() -> None:
    config = dict(
        model=dict(type='A', encoder=dict(type='Big', width=9), others=[dict(type='Big')]),
        data=dict(type='Set', data_root='data/x', keep=1),
        elsewhere=dict(type='Set', data_root='/mnt/data/x'),
        generated=dict(data_root='data/sample/x'),
        epochs=100,
    )
    overlay = dict(
        data_root=('data/', 'data/sample/'),
        replace=dict(Big=dict(type='Small')),
        update=dict(Set=dict(extra=2), A=dict(encoder=dict(depth=1))),
        merge=dict(epochs=2),
    )
    small = apply_overlay(config, overlay)
    assert small['model']['encoder'] == dict(type='Small', depth=1)
    assert small['model']['others'] == [dict(type='Small')]
    assert small['data'] == dict(type='Set', data_root='data/sample/x', keep=1, extra=2)
    assert small['elsewhere']['data_root'] == '/mnt/data/x'
    assert small['generated']['data_root'] == 'data/sample/x'
    assert small['epochs'] == 2 and config['epochs'] == 100
    assert config['model']['encoder'] == dict(type='Big', width=9)


def test_the_ratio_of_two_tasks_stays() -> None:
    overlay = dict(replace=dict(Big=dict(type='Small', width=1)))
    small = apply_overlay(dict(loss=dict(type='Big', width=9, loss_weight=20.0)), overlay)
    assert small['loss'] == dict(type='Small', width=1, loss_weight=20.0)


def test_an_adaptation_starts_from_the_sample_s_own_run() -> None:
    overlay = dict(merge=dict(epochs=2), merge_adaptation=dict(epochs=3))
    config = dict(
        work_dir='runs/adapted', model=dict(adaptation=dict(source_checkpoint='runs/source'))
    )
    small = apply_overlay(config, overlay)
    assert small['model']['adaptation']['source_checkpoint'] == 'runs/source_sample'
    assert small['work_dir'] == 'runs/adapted_sample' and small['epochs'] == 3
    assert apply_overlay(small, overlay) == small
    assert apply_overlay(dict(model=dict(type='A')), overlay)['epochs'] == 2


def test_what_is_said_of_replaced_layers_is_left_out() -> None:
    config = dict(model=dict(type='A', finetune=dict(a=dict()), activation_checkpointing=['a']))
    assert apply_overlay(config, {}) == dict(model=dict(type='A')) and 'finetune' in config['model']


def test_a_batch_of_counted_sources_keeps_its_size() -> None:
    overlay = dict(merge=dict(train_dataloader=dict(batch_size=40, num_workers=1)))
    counted = dict(batch_size=32, batch_sampler=dict(source=dict(a=8), target=dict(b=24)))
    assert apply_overlay(dict(train_dataloader=counted), overlay)['train_dataloader'] == dict(
        counted, num_workers=1
    )
    plain = apply_overlay(dict(train_dataloader=dict(batch_size=32)), overlay)
    assert plain['train_dataloader'] == dict(batch_size=40, num_workers=1)
