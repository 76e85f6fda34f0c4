# SIRS without class maps, CAPTIONED=rsicd or ucm: multi-scale vectors alone, as published (the
# variant prototype). model.pyramid=None: the last scale alone (the variant base).
_base_ = './sirs.py'


def without_maps(pipeline):
    return [step for step in pipeline if step['type'] != 'LoadSegMap']


train_dataloader = dict(dataset=dict(pipeline=without_maps(_base_.train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=without_maps(_base_.test_pipeline)))
test_dataloader = dict(dataset=dict(pipeline=without_maps(_base_.test_pipeline)))
val_evaluator = dict(_delete_=True, type='RecallAtK', topk=(1, 5, 10), ties='expected')
test_evaluator = val_evaluator
model = dict(pyramid=dict(decode_head=None, attention=None))
del without_maps
