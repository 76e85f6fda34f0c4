# UrbanCross adapted from Spain to Finland without a curriculum.
_base_ = [
    './_base_/methods/plain.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/spain2finland.py', './_base_/schedules/adaptation.py'
]
start = 'work_dirs/urbancross_spain'
model = dict(retriever={{_base_.retriever}}, target='finland')
