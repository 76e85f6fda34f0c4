# UrbanCross adapted from RSICD to UCM: curriculum, triplet and adversarial loss.
_base_ = [
    './_base_/methods/curriculum.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/rsicd2ucm.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='ucm', source_checkpoint='work_dirs/urbancross_rsicd'))
