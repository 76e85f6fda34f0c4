# UrbanCross on Finland, ranked by 0.8 image + 0.2 segments in validation and test.
_base_ = ['./urbancross_finland.py']
val_dataloader = dict(dataset=dict(pipeline={{_base_.segment_test_pipeline}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.segment_test_pipeline}}))
model = dict(eval_fusion=0.8)
