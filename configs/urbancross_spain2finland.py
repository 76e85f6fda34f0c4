# UrbanCross adapted from Spain to Finland: curriculum, triplet and adversarial loss.
_base_ = [
    './_base_/methods/curriculum.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/spain2finland.py', './_base_/schedules/adaptation.py'
]
start = 'work_dirs/urbancross_spain'
model = dict(retriever={{_base_.retriever}}, target='finland')
