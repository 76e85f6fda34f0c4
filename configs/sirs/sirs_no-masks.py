# SIRS without class maps, CAPTIONED=rsicd or ucm: multi-scale vectors alone, as published (the
# variant prototype). model.pyramid=None: the last scale alone (the variant base).
_base_ = './sirs.py'
train_pipeline = [dict(type='LoadImage'), *_base_.geometry, *_base_.text_and_pack]
test_pipeline = [dict(type='LoadImage'), *_base_.test_geometry, *_base_.text_and_pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(_delete_=True, type='RecallAtK', topk=(1, 5, 10), ties='expected')
test_evaluator = val_evaluator
model = dict(pyramid=dict(decode_head=None, attention=None))
