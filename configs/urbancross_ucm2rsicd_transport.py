# A retriever adapted from UCM to RSICD by optimal transport.
_base_ = [
    './_base_/methods/transport.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/ucm2rsicd.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='rsicd', source_checkpoint='work_dirs/urbancross_ucm'))
# A plan needs many target items a step.
train_dataloader = dict(
    batch_size=128, batch_sampler=dict(source=dict(ucm=64), target=dict(rsicd=64)))
auto_scale_lr = dict(base_batch_size=128)
