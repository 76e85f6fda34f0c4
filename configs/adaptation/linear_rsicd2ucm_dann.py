# Linear heads adapted from RSICD to UCM by DANN.
_base_ = [
    '../_base_/methods/dann.py', '../_base_/retrievers/linear.py',
    '../_base_/datasets/adaptation/rsicd2ucm_features.py', '../_base_/schedules/adaptation.py'
]
start = 'work_dirs/linear_rsicd'
model = dict(retriever={{_base_.retriever}}, target='ucm')
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=128)
