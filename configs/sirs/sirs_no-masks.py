# SIRS on a dataset without class maps, CAPTIONED=rsicd or ucm: multi-scale vectors alone, as
# published. For no scale but the last: model.pyramid=None.
_base_ = './sirs.py'
val_evaluator = dict(_delete_=True, type='RecallAtK', topk=(1, 5, 10), ties='expected')
test_evaluator = val_evaluator
model = dict(pyramid=dict(decode_head=None, attention=None))
