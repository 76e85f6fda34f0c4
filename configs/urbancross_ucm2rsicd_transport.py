# A retriever adapted from UCM to RSICD by optimal transport.
_base_ = [
    './_base_/methods/transport.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/ucm2rsicd.py', './_base_/schedules/adaptation.py'
]
start = 'work_dirs/urbancross_ucm'
model = dict(retriever={{_base_.retriever}}, target='rsicd')
