# What each part of an adaptation is worth, on RSICD and UCM with linear heads on frozen features.
#
#     sh benchmarks/adaptation_ablations.sh [JOBS] [SEED ...]
#
# needs data/{rsicd,ucm}/features.npz (tools/misc/extract_features.py). It resumes where it stopped;
# the tables are in work_dirs/ablations/matrix.md.
jobs=${1:-2}
[ $# -gt 0 ] && shift
# The published method with the retriever's own loss in place of the triplet.
N="curriculum;model.adaptation.losses.0.loss_weight=0.0;model.adaptation.paired_loss=True"
exec python tools/analysis_tools/cross_domain_matrix.py --domains rsicd ucm \
    --source 'configs/baselines/linear_{source}.py' \
    --method "as-published=curriculum;model.adaptation.losses.0.negative=target_image;model.adaptation.losses.0.weighted=False;model.adaptation.selector.features=text;model.adaptation.selector.encoders=live;model.adaptation.losses.1.modalities=[image];custom_hooks.5.maximum=-0.1" \
    --method "triplet=curriculum" \
    --method "triplet-image-negatives=curriculum;model.adaptation.losses.0.negative=target_image" \
    --method "triplet-source-negatives=curriculum;model.adaptation.losses.0.negative=source" \
    --method "infonce=$N" \
    --method "infonce-no-weights=$N;model.adaptation.losses.1.weighted=False" \
    --method "infonce-text-selector=$N;model.adaptation.selector.features=text" \
    --method "infonce-no-curriculum=$N;custom_hooks.4.ratio.schedule=table;custom_hooks.4.ratio.table=[0.2]" \
    --method "infonce-coefficient0=$N;custom_hooks.5.maximum=0.0" \
    --method "infonce-coefficient0.01=$N;custom_hooks.5.maximum=0.01" \
    --method "infonce-coefficient1=$N;custom_hooks.5.maximum=1.0" \
    --method "infonce-sign-flipped=$N;custom_hooks.5.maximum=-0.1" \
    --method coral \
    --method transport-live \
    --method "live-eps0.02=transport-live;model.adaptation.losses.0.eps=0.02" \
    --method "live-eps0.1=transport-live;model.adaptation.losses.0.eps=0.1" \
    --method "live-weight1=transport-live;model.adaptation.losses.0.loss_weight=1.0" \
    --method "live-weight10=transport-live;model.adaptation.losses.0.loss_weight=10.0" \
    --method "live-memory1024=transport-live;model.adaptation.losses.0.memory_size=1024" \
    --method transport-curriculum \
    --method-options train_cfg.val_interval=5 \
    --seeds ${@:-0 1 2} --jobs "$jobs" --out work_dirs/ablations
