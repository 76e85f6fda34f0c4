# A retriever adapted from RSICD to UCM by optimal transport.
_base_ = [
    './_base_/methods/transport.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/rsicd2ucm.py', './_base_/schedules/adaptation.py'
]
start = 'work_dirs/urbancross_rsicd'
model = dict(retriever={{_base_.retriever}}, target='ucm')
