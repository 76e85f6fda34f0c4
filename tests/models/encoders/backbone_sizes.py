"""Every backbone that mmpretrain and mmseg register, at a small size."""

from __future__ import annotations

from typing import Any

BN = dict(type='BN')
WIDTHS, DEPTHS, HEADS = [8, 8, 16, 16], [1, 1, 1, 1], [1, 1, 2, 2]
GROWING = [8, 12, 16, 24]
VIT = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16)
VIT_OF_MMSEG = dict(img_size=64, embed_dims=16, num_layers=2, num_heads=2, mlp_ratio=1)
SWIN = dict(embed_dims=8, depths=DEPTHS, num_heads=HEADS)
LAYERS = dict(layers=DEPTHS, embed_dims=GROWING)
RESNET = dict(depth=18, base_channels=4, stem_channels=4)
DEEP_RESNET = dict(depth=50, base_channels=4, stem_channels=4)
TWINS = dict(
    embed_dims=WIDTHS,
    depths=DEPTHS,
    num_heads=HEADS,
    patch_sizes=[4, 2, 2, 2],
    strides=[4, 2, 2, 2],
    mlp_ratios=[1] * 4,
    sr_ratios=[8, 4, 2, 1],
)
HRNET = {
    f'stage{stage}': dict(
        num_modules=1,
        num_branches=stage,
        block='BASIC' if stage > 1 else 'BOTTLENECK',
        num_blocks=(1,) * stage,
        num_channels=(4, 4, 8, 8)[:stage],
    )
    for stage in range(1, 5)
}
STDC = dict(
    stdc_type='STDCNet1',
    in_channels=3,
    channels=(8, 8, 16, 16, 16),
    bottleneck_type='cat',
    num_convs=4,
    norm_cfg=BN,
    act_cfg=dict(type='ReLU'),
)

SIZES: dict[str, dict[str, Any]] = {
    'mmpretrain.AlexNet': {},
    'mmpretrain.BEiTViT': dict(img_size=64, arch=VIT),
    'mmpretrain.CSPDarkNet': dict(depth=53),
    'mmpretrain.CSPResNeXt': dict(depth=50),
    'mmpretrain.CSPResNet': dict(depth=50),
    'mmpretrain.Conformer': dict(
        arch=dict(embed_dims=24, channel_ratio=1, num_heads=2, depths=12), base_channels=8
    ),
    'mmpretrain.ConvMixer': dict(arch=dict(embed_dims=16, depth=2, patch_size=7, kernel_size=3)),
    'mmpretrain.ConvNeXt': dict(arch=dict(depths=DEPTHS, channels=WIDTHS)),
    'mmpretrain.DaViT': dict(arch=SWIN),
    'mmpretrain.DeiT3': dict(img_size=64, arch=VIT),
    'mmpretrain.DenseNet': dict(arch=dict(growth_rate=4, depths=[2, 2, 2, 2], init_channels=8)),
    'mmpretrain.DistilledVisionTransformer': dict(img_size=64, arch=VIT),
    'mmpretrain.EdgeNeXt': dict(arch=dict(channels=WIDTHS, depths=[2] * 4, num_heads=[2] * 4)),
    'mmpretrain.EfficientFormer': dict(
        arch=dict(
            layers=DEPTHS, embed_dims=GROWING, downsamples=[False, True, True, True], vit_num=1
        )
    ),
    'mmpretrain.EfficientNet': {},
    'mmpretrain.EfficientNetV2': dict(arch='b0'),
    'mmpretrain.HRNet': dict(extra=HRNET),
    'mmpretrain.HiViT': dict(img_size=64, arch=dict(embed_dims=64, depths=[1, 1, 7], num_heads=2)),
    'mmpretrain.HorNet': dict(
        arch=dict(
            base_dim=16,
            depths=DEPTHS,
            orders=[2] * 4,
            dw_cfg=[dict(type='DW', kernel_size=7)] * 4,
        )
    ),
    'mmpretrain.InceptionV3': {},
    'mmpretrain.LeNet5': {},
    'mmpretrain.LeViT': dict(arch='128s'),
    'mmpretrain.MViT': dict(
        img_size=64,
        arch=dict(embed_dims=8, num_layers=4, num_heads=1, downscale_indices=[1, 2, 3]),
    ),
    'mmpretrain.MixMIMTransformer': dict(arch=dict(embed_dims=8, depths=DEPTHS, num_heads=HEADS)),
    'mmpretrain.MlpMixer': dict(
        img_size=64,
        arch=dict(embed_dims=16, num_layers=2, tokens_mlp_dims=8, channels_mlp_dims=16),
    ),
    'mmpretrain.MobileNetV2': dict(widen_factor=0.25),
    'mmpretrain.MobileNetV3': dict(arch='small_050'),
    'mmpretrain.MobileOne': dict(arch='s0'),
    'mmpretrain.MobileViT': dict(arch='xx_small'),
    'mmpretrain.PCPVT': dict(arch=TWINS),
    'mmpretrain.PoolFormer': dict(
        arch=dict(LAYERS, mlp_ratios=[1] * 4, layer_scale_init_value=1e-5)
    ),
    'mmpretrain.PyramidVig': dict(arch='tiny'),
    'mmpretrain.RIFormer': dict(arch=dict(LAYERS, mlp_ratios=[1] * 4, layer_scale_init_value=1e-5)),
    'mmpretrain.RegNet': dict(arch='regnetx_400mf'),
    'mmpretrain.RepLKNet': dict(
        arch=dict(
            large_kernel_sizes=[5] * 4, layers=DEPTHS, channels=WIDTHS, small_kernel=3, dw_ratio=1
        )
    ),
    'mmpretrain.RepMLPNet': dict(arch=dict(channels=WIDTHS, depths=DEPTHS, sharesets_nums=[1] * 4)),
    'mmpretrain.RepVGG': dict(
        arch=dict(num_blocks=DEPTHS, width_factor=[0.25] * 4, group_layer_map=None, se_cfg=None)
    ),
    'mmpretrain.Res2Net': dict(DEEP_RESNET, scales=2, base_width=8),
    'mmpretrain.ResNeSt': DEEP_RESNET,
    'mmpretrain.ResNeXt': dict(DEEP_RESNET, groups=2, width_per_group=4),
    'mmpretrain.ResNet': RESNET,
    'mmpretrain.ResNetV1c': RESNET,
    'mmpretrain.ResNetV1d': RESNET,
    'mmpretrain.ResNet_CIFAR': dict(depth=18, base_channels=4, stem_channels=4),
    'mmpretrain.RevVisionTransformer': dict(img_size=64, arch=VIT),
    'mmpretrain.SEResNeXt': dict(DEEP_RESNET, groups=2, width_per_group=4),
    'mmpretrain.SEResNet': dict(DEEP_RESNET),
    'mmpretrain.SVT': dict(arch=dict(TWINS, window_sizes=[7] * 4)),
    'mmpretrain.ShuffleNetV1': {},
    'mmpretrain.ShuffleNetV2': dict(widen_factor=0.5),
    'mmpretrain.SwinTransformer': dict(arch=SWIN),
    'mmpretrain.SwinTransformerV2': dict(arch=dict(SWIN, extra_norm_every_n_blocks=0)),
    'mmpretrain.T2T_ViT': dict(
        img_size=64,
        embed_dims=16,
        num_layers=2,
        layer_cfgs=dict(num_heads=2, feedforward_channels=16),
    ),
    'mmpretrain.TIMMBackbone': dict(model_name='resnet18'),
    'mmpretrain.TNT': dict(
        img_size=64,
        arch=dict(
            embed_dims_outer=16,
            embed_dims_inner=8,
            num_layers=2,
            num_heads_inner=2,
            num_heads_outer=2,
        ),
    ),
    'mmpretrain.TinyViT': dict(
        img_size=(64, 64), arch=dict(channels=WIDTHS, num_heads=HEADS, depths=DEPTHS)
    ),
    'mmpretrain.VAN': dict(arch=dict(embed_dims=WIDTHS, depths=DEPTHS, ffn_ratios=[1] * 4)),
    'mmpretrain.VGG': dict(depth=11),
    'mmpretrain.ViTEVA02': dict(img_size=64, arch=VIT),
    'mmpretrain.ViTSAM': dict(img_size=64, arch=dict(VIT, global_attn_indexes=[1]), out_channels=8),
    'mmpretrain.Vig': dict(arch='tiny'),
    'mmpretrain.VisionTransformer': dict(img_size=64, arch=VIT),
    'mmpretrain.XCiT': dict(embed_dims=16, depth=2, cls_attn_layers=1, num_heads=2, mlp_ratio=1),
    'mmpretrain.ModifiedResNet': dict(depth=50, base_channels=4, input_size=64, num_attn_heads=2),
    'mmpretrain.OFAResNet': dict(depth=50),
    'mmpretrain.MoCoV3ViT': dict(img_size=64, arch=VIT, patch_size=16),
    'mmseg.BEiT': VIT_OF_MMSEG,
    'mmseg.BiSeNetV1': dict(
        backbone_cfg=dict(
            type='ResNet',
            in_channels=3,
            depth=18,
            num_stages=4,
            out_indices=(0, 1, 2, 3),
            base_channels=4,
        ),
        context_channels=(8, 16, 32),
        spatial_channels=(8, 8, 8, 8),
        out_channels=8,
    ),
    'mmseg.BiSeNetV2': dict(
        detail_channels=(8, 8, 16), semantic_channels=(8, 8, 8, 16), bga_channels=16
    ),
    'mmseg.CGNet': dict(num_channels=(8, 8, 16), num_blocks=(1, 1), reductions=(2, 2)),
    'mmseg.DDRNet': dict(channels=4, ppm_channels=8),
    'mmseg.ERFNet': dict(
        enc_downsample_channels=(4, 8, 16),
        enc_stage_non_bottlenecks=(1, 1),
        enc_non_bottleneck_channels=(8, 16),
        dec_upsample_channels=(8, 4),
        dec_stages_non_bottleneck=(1, 1),
        enc_non_bottleneck_dilations=(2,),
        dec_non_bottleneck_channels=(8, 4),
    ),
    'mmseg.FastSCNN': {},
    'mmseg.HRNet': dict(extra=HRNET),
    'mmseg.ICNet': dict(
        backbone_cfg=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4),
        layer_channels=(8, 32),
        light_branch_middle_channels=4,
        psp_out_channels=8,
        out_channels=(4, 8, 8),
    ),
    'mmseg.MAE': VIT_OF_MMSEG,
    'mmseg.MSCAN': dict(
        embed_dims=WIDTHS,
        depths=DEPTHS,
        mlp_ratios=[1] * 4,
    ),
    'mmseg.MixVisionTransformer': dict(embed_dims=8, num_layers=DEPTHS, num_heads=[1, 1, 2, 4]),
    'mmseg.MobileNetV2': dict(widen_factor=0.25),
    'mmseg.MobileNetV3': {},
    'mmseg.PCPVT': dict(embed_dims=WIDTHS, depths=DEPTHS, num_heads=HEADS, mlp_ratios=[1] * 4),
    'mmseg.PIDNet': dict(channels=4, ppm_channels=8, num_branch_blocks=1),
    'mmseg.ResNeSt': DEEP_RESNET,
    'mmseg.ResNeXt': dict(DEEP_RESNET, groups=2),
    'mmseg.ResNet': RESNET,
    'mmseg.ResNetV1c': RESNET,
    'mmseg.ResNetV1d': RESNET,
    'mmseg.STDCContextPathNet': dict(
        backbone_cfg=dict(type='STDCNet', **STDC),
        last_in_channels=(16, 16),
        out_channels=8,
        ffm_cfg=dict(in_channels=24, out_channels=8, scale_factor=4),
    ),
    'mmseg.STDCNet': STDC,
    'mmseg.SVT': dict(
        embed_dims=[8, 8, 16], depths=[1, 1, 1], num_heads=[1, 1, 2], mlp_ratios=[1] * 3
    ),
    'mmseg.SwinTransformer': dict(SWIN, mlp_ratio=1),
    'mmseg.TIMMBackbone': dict(model_name='resnet18'),
    'mmseg.UNet': dict(base_channels=4),
    'mmseg.VisionTransformer': VIT_OF_MMSEG,
}
# Sides of the images in pixels; 64 for what is not named.
SIDES = {
    'mmpretrain.AlexNet': 224,
    'mmpretrain.LeNet5': 32,
    'mmpretrain.InceptionV3': 128,
    'mmpretrain.LeViT': 224,
    'mmpretrain.MixMIMTransformer': 224,
    'mmpretrain.RepMLPNet': 224,
    'mmpretrain.SwinTransformer': 224,
    'mmpretrain.SwinTransformerV2': 256,
    'mmpretrain.DaViT': 224,
    'mmpretrain.EfficientFormer': 224,
    'mmpretrain.Vig': 224,
    'mmpretrain.PyramidVig': 224,
}
