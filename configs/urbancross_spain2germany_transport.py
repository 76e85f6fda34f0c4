# A retriever adapted from Spain to Germany by optimal transport.
_base_ = [
    './_base_/methods/transport.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/spain2germany.py', './_base_/schedules/adaptation.py'
]
start = 'work_dirs/urbancross_spain'
model = dict(retriever={{_base_.retriever}}, target='germany')
