# The paper's setting: UrbanCross with ViT-L/14 (768 wide) on Finland.
_base_ = ['./urbancross_finland.py']
clip = dict(model_name='ViT-L-14', pretrained='laion2b_s32b_b82k')
model = dict(image_encoder=clip, text_encoder=clip)
