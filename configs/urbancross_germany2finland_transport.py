# A retriever adapted from Germany to Finland by optimal transport.
_base_ = [
    './_base_/methods/transport.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/germany2finland.py', './_base_/schedules/adaptation.py'
]
start = 'work_dirs/urbancross_germany'
model = dict(retriever={{_base_.retriever}}, target='finland')
