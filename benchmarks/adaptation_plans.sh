# What each part of the plan of optimal transport is worth, on RSICD and UCM with linear heads on
# frozen features.
#
#     sh benchmarks/adaptation_plans.sh [JOBS] [SEED ...]
#
# needs data/{rsicd,ucm}/features.npz (tools/misc/extract_features.py). It resumes where it stopped;
# the tables are in work_dirs/plans/matrix.md.
jobs=${1:-2}
[ $# -gt 0 ] && shift
L=model.adaptation.losses.0
exec python tools/analysis_tools/cross_domain_matrix.py --directions rsicd2ucm ucm2rsicd \
    --source 'configs/baselines/linear_{source}.py' \
    --method transport \
    --method transport-live \
    --method "no-neighbors=transport;$L.plan.neighbors=0" \
    --method "no-structure=transport;$L.plan.structure=0" \
    --method "cosines=transport;$L.plan.neighbors=0;$L.plan.structure=0" \
    --method "groups40=transport;$L.plan.groups=40" \
    --method "matched0.9=transport;$L.plan.matched=0.9" \
    --method "eps0.08=transport;$L.plan.eps=0.08" \
    --method "eps0.3=transport;$L.plan.eps=0.3" \
    --method "klot=transport;$L.objective=klot" \
    --method "weight10=transport;$L.loss_weight=10.0" \
    --method pseudo-pairs \
    --method-options train_cfg.val_interval=10 \
    --seeds ${@:-0 1 2} --jobs "$jobs" --out work_dirs/plans
