"""Pairing plans against the same plan in dense matrices, one step at a time."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from urbancross_mm.functional import pairing_plan
from urbancross_mm.functional.anchors import STRENGTH, WIDTH
from urbancross_mm.functional.pairing_factors import draw_reference
from urbancross_mm.functional.pairing_plan import (
    Anchors,
    PairingPlan,
    PlanOptions,
    Target,
    make_plan,
)

CLASSES = 10


def numbers(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_target(images: int = 40, texts: int = 50, seed: int = 0) -> Target:
    """Six latent classes seen by both modalities, with texts that occur one to five times."""
    generator = torch.Generator().manual_seed(seed)
    latent, kinds = numbers(generator, 6, 5), [torch.arange(n) % 6 for n in (images, texts)]
    embeds, feats = [], []
    shared = numbers(generator, 5, 8)
    for kind in kinds:
        items = latent[kind] + 0.5 * numbers(generator, len(kind), 5)
        embeds.append(
            normalize(items @ shared + 2 * numbers(generator, 8) + numbers(generator, len(kind), 8))
        )
        feats.append(items @ numbers(generator, 5, 12) + numbers(generator, len(kind), 12))
    mass = torch.randint(1, 6, (texts,), generator=generator).double()
    return Target(embeds[0], embeds[1], feats[0], feats[1], mass)


def rearranged(target: Target, rows: Tensor, columns: Tensor) -> Target:
    """Images and texts in another order."""
    return Target(
        target.image_embeds[rows],
        target.text_embeds[columns],
        target.image_feats[rows],
        target.text_feats[columns],
        target.text_mass[columns],
    )


def misnamed_target(seed: int, wrong: int = 5) -> tuple[Target, Tensor, Tensor]:
    """Ten classes; the source calls some by the name of another, with less confidence."""
    generator = torch.Generator().manual_seed(seed)
    latent, names = numbers(generator, CLASSES, 3), normalize(numbers(generator, CLASSES, 24))
    seen = names.clone()
    seen[:wrong] = 0.4 * names[:wrong].roll(1, 0)
    of_images, of_texts = torch.arange(100) % CLASSES, torch.arange(120) % CLASSES
    target = Target(
        normalize(seen[of_images] + 0.3 * numbers(generator, 100, 24)),
        normalize(names[of_texts] + 0.3 * numbers(generator, 120, 24)),
        latent[of_images] @ numbers(generator, 3, 32) + 0.3 * numbers(generator, 100, 32),
        latent[of_texts] @ numbers(generator, 3, 20) + 0.3 * numbers(generator, 120, 20),
        torch.ones(120, dtype=torch.float64),
    )
    return target, of_images, of_texts


def density(plan: PairingPlan) -> Tensor:
    return plan.density(torch.arange(len(plan.images)), torch.arange(len(plan.texts)))


def plan_matrix(plan: PairingPlan, mass: Tensor) -> Tensor:
    """Density times the masses of both sides."""
    return density(plan) / len(plan.images) * (mass / mass.sum())


def right_share(plan: PairingPlan, of_images: Tensor, of_texts: Tensor) -> float:
    matrix = plan_matrix(plan, torch.ones(len(of_texts)))
    return float(matrix[of_images[:, None] == of_texts].sum() / matrix.sum())


# --- the naive method -----------------------------------------------------------------------------


def naive_standardized(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    scores = scores - (scores * columns).sum(1, keepdims=True)
    scores = scores - (scores * rows[:, None]).sum(0, keepdims=True)
    return scores / np.sqrt((rows[:, None] * columns * scores**2).sum())


def naive_plan(
    scores: np.ndarray, rows: np.ndarray, columns: np.ndarray, matched: float
) -> np.ndarray:
    """Sinkhorn with the spare row and column written out as two more items."""
    kernel = np.zeros((len(rows) + 1, len(columns) + 1))
    kernel[:-1, :-1] = np.exp(scores)
    if matched < 1:
        kernel[-1, :-1] = kernel[:-1, -1] = 1
        rows, columns = np.append(rows, 1 - matched), np.append(columns, 1 - matched)
    else:
        kernel = kernel[:-1, :-1]
    v = np.ones(len(columns))
    for _ in range(3000):
        u = rows / (kernel @ v)
        v = columns / (u @ kernel)
    plan = u[:, None] * kernel * v
    return plan[:-1, :-1] if matched < 1 else plan


def naive_units(feats: np.ndarray, mass: np.ndarray) -> np.ndarray:
    moved = feats - (feats * mass[:, None]).sum(0)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def naive_smoothed(embeds: np.ndarray, units: np.ndarray, count: int) -> np.ndarray:
    if count < 2:
        return embeds
    smooth = []
    for unit in units:
        cosines = units @ unit
        near = np.argsort(-cosines)[:count]
        weights = np.maximum(cosines[near], 1e-6)
        smooth.append((weights[:, None] * embeds[near]).sum(0) / weights.sum())
    return np.array(smooth)


def naive(target: Target, options: PlanOptions, anchors: Anchors | None = None) -> np.ndarray:
    image_embeds, text_embeds, image_feats, text_feats, mass = (part.numpy() for part in target)
    rows, columns = np.full(len(image_embeds), 1 / len(image_embeds)), mass / mass.sum()
    x, y = naive_units(image_feats, rows), naive_units(text_feats, columns)
    counts = [
        round(len(of) ** 0.5 / 5) if options.neighbors is None else options.neighbors
        for of in (rows, columns)
    ]
    scores = (
        naive_smoothed(image_embeds, x, counts[0]) @ naive_smoothed(text_embeds, y, counts[1]).T
    )
    scores = naive_standardized(scores, rows, columns)
    for image in {int(i) for i in anchors.images} if anchors else ():
        own = y[anchors.texts[anchors.images == image].numpy()]
        near_image = np.exp((x @ x[image] - 1) / WIDTH)
        near_text = np.exp((y @ own.T - 1) / WIDTH).mean(1)
        scores = scores + STRENGTH * np.outer(
            near_image - rows @ near_image, near_text - columns @ near_text
        )
    plan = naive_plan(scores / options.eps, rows, columns, options.matched)
    for _ in range(options.rounds):
        structure = naive_standardized((x @ x.T) @ plan @ (y @ y.T), rows, columns)
        logits = (scores + options.structure * structure) / options.eps
        plan = naive_plan(logits, rows, columns, options.matched)
    return plan


@pytest.fixture
def converged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pairing_plan, 'ITERATIONS', 3000)
    monkeypatch.setattr(pairing_plan, 'TOLERANCE', 1e-7)
    monkeypatch.setattr(pairing_plan, 'TOLERANCE_BETWEEN', 1e-7)
    yield


@pytest.mark.usefixtures('converged')
@pytest.mark.parametrize(
    'options',
    [
        PlanOptions(structure=0.0, rounds=0, neighbors=0),
        PlanOptions(structure=0.0, rounds=0, neighbors=4, matched=0.5),
        PlanOptions(structure=2.0, rounds=1, neighbors=0, eps=0.3),
        PlanOptions(structure=1.0, rounds=3, matched=0.7, eps=0.3),
        PlanOptions(structure=3.0, rounds=2, neighbors=3, eps=0.4),
    ],
)
@pytest.mark.parametrize('anchored', [False, True])
def test_against_dense_matrices(options: PlanOptions, anchored: bool) -> None:
    target = random_target()
    anchors = Anchors(torch.tensor([3, 3, 7]), torch.tensor([5, 8, 20])) if anchored else None
    plan = plan_matrix(make_plan(target, options, anchors), target.text_mass)
    expected = torch.from_numpy(naive(target, options, anchors))
    scale = 1 / len(target.image_embeds) / len(target.text_embeds)
    torch.testing.assert_close(plan / scale, expected / scale, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures('converged')
def test_the_structure_is_the_gradient_of_gromov_wasserstein() -> None:
    """Up to constants of rows and columns, which no plan depends on, and a factor."""
    ot = pytest.importorskip('ot')
    target = random_target()
    first = make_plan(target, PlanOptions(rounds=0, eps=0.5))
    second = make_plan(target, PlanOptions(rounds=1, eps=0.5))
    structure = (
        0.5 * (second.images @ second.texts.t() - first.images @ first.texts.t()) / 2.0
    ).numpy()
    rows = np.full(40, 1 / 40)
    columns = (target.text_mass / target.text_mass.sum()).numpy()
    x, y = (
        naive_units(target.image_feats.numpy(), rows),
        naive_units(target.text_feats.numpy(), columns),
    )
    plan = plan_matrix(first, target.text_mass).numpy()
    constant, *factors = ot.gromov.init_matrix(x @ x.T, y @ y.T, rows, columns, 'square_loss')
    gradient = ot.gromov.gwggrad(constant, *factors, plan)
    np.testing.assert_allclose(structure, naive_standardized(-gradient, rows, columns), atol=1e-6)


# --- what a plan is -------------------------------------------------------------------------------


@pytest.mark.parametrize('matched', [1.0, 0.6, 0.2])
@pytest.mark.parametrize('structure', [0.0, 2.0])
def test_masses_of_all_items(matched: float, structure: float) -> None:
    target = random_target()
    found = make_plan(target, PlanOptions(matched=matched, structure=structure))
    plan, mass = plan_matrix(found, target.text_mass), target.text_mass / target.text_mass.sum()
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(1), found.image_mass / 40, rtol=1e-6, atol=1e-9)
    assert (plan.sum(0) - found.text_mass * mass).abs().sum() < 2e-3
    torch.testing.assert_close(float(plan.sum()), matched, rtol=0, atol=2e-3)
    assert found.image_mass.max() <= 1 and found.text_mass.max() <= 1
    if matched == 1:
        torch.testing.assert_close(found.text_mass, torch.ones_like(mass))


def test_what_fits_nothing_gets_less() -> None:
    """A tenth of the images look like no text more than like another."""
    target, of_images, _ = misnamed_target(0, wrong=0)
    strange = of_images == 0
    embeds = target.image_embeds.clone()
    embeds[strange] = 0.01 * torch.randn(10, 24).double()
    found = make_plan(
        target._replace(image_embeds=embeds), PlanOptions(structure=0, matched=0.9, neighbors=0)
    )
    assert found.image_mass[strange].max() < 0.3 < 0.7 < found.image_mass[~strange].min()


@pytest.mark.usefixtures('converged')
@pytest.mark.parametrize('options', [PlanOptions(eps=0.3), PlanOptions(matched=0.5, eps=0.3)])
def test_the_order_of_items_does_not_matter(options: PlanOptions) -> None:
    target = random_target()
    rows, columns = torch.randperm(40), torch.randperm(50)
    shuffled = rearranged(target, rows, columns)
    torch.testing.assert_close(
        density(make_plan(shuffled, options)),
        density(make_plan(target, options))[rows][:, columns],
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.usefixtures('converged')
def test_units_of_scores_features_and_masses_do_not_matter() -> None:
    target = random_target()
    other = Target(
        target.image_embeds * 0.1,
        target.text_embeds * 3 + 1,  # a constant of each image
        target.image_feats * 7 - 5,
        target.text_feats / 9,
        target.text_mass * 100,
    )
    options = PlanOptions(eps=0.3)
    torch.testing.assert_close(
        density(make_plan(other, options)),
        density(make_plan(target, options)),
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.usefixtures('converged')
@pytest.mark.parametrize('matched', [1.0, 0.6])
def test_a_text_of_mass_3_is_three_texts(matched: float) -> None:
    target = random_target(30, 12)
    times = torch.arange(12) % 3 + 1
    once = target._replace(text_mass=times.double())
    repeated = target._replace(
        text_embeds=target.text_embeds.repeat_interleave(times, 0),
        text_feats=target.text_feats.repeat_interleave(times, 0),
        text_mass=torch.ones(int(times.sum())).double(),
    )
    options = PlanOptions(neighbors=0, matched=matched, eps=0.3)  # neighbors are distinct texts
    torch.testing.assert_close(
        density(make_plan(repeated, options)),
        density(make_plan(once, options)).repeat_interleave(times, 1),
        rtol=1e-5,
        atol=1e-7,
    )


# --- a plan of a part -----------------------------------------------------------------------------


@pytest.mark.usefixtures('converged')
def test_a_plan_of_a_part_is_that_of_the_part_alone() -> None:
    target = random_target()
    options = PlanOptions(max_items=25, matched=0.7, eps=0.3)
    part = draw_reference(target, 25, seed=4)
    alone = Target(
        target.image_embeds[part.images],
        target.text_embeds[part.texts],
        target.image_feats[part.images],
        target.text_feats[part.texts],
        target.text_mass[part.texts],
    )
    torch.testing.assert_close(
        make_plan(target, options, seed=4).density(part.images, part.texts),
        density(make_plan(alone, options)),
        rtol=1e-5,
        atol=1e-7,
    )


def test_a_plan_of_a_part_extends_to_all_items() -> None:
    target, of_images, of_texts = misnamed_target(0, wrong=0)
    whole = make_plan(target, PlanOptions(neighbors=3))
    part = make_plan(target, PlanOptions(neighbors=3, max_items=60), seed=1)
    other = make_plan(target, PlanOptions(neighbors=3, max_items=60), seed=2)
    assert not torch.equal(density(part), density(other))
    assert density(part).shape == density(whole).shape == (100, 120)
    known = draw_reference(target, 60, seed=1)
    # Over the texts that it was solved on, a new image gets its mass as exactly as a known one.
    sums = part.density(torch.arange(100), known.texts).mean(1)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-6, atol=0)
    shares = [right_share(plan, of_images, of_texts) for plan in (whole, part)]
    # By chance, the part has more images than texts of some classes.
    assert shares[0] > 0.95 and shares[1] > 0.7
    assert (density(part).mean(1) - 1).abs().mean() < 0.3


def labeled_world(size: int = 60) -> tuple[Target, Anchors]:
    """Single precision, as in training: two images of a rare class, and captions of them."""
    generator = torch.Generator().manual_seed(0)
    feats = [numbers(generator, size, 12) for _ in range(2)]
    for part in feats:
        part[:, 0] = 0
        part[:2] = 0
        part[:2, 0] = 9
    embeds = [normalize(numbers(generator, size, 8)) for _ in range(2)]
    mass = torch.ones(size)
    mass[1] = 5
    target = Target(*(part.float() for part in (*embeds, *feats)), mass)
    return target, Anchors(torch.tensor([0]), torch.tensor([0]))


@pytest.mark.parametrize('seed', range(4))
def test_items_outside_the_part_get_no_more_than_their_mass(seed: int) -> None:
    """Two labels' likes outside of what was solved had a density of infinity."""
    target, anchors = labeled_world()
    plan = make_plan(target, PlanOptions(max_items=12, neighbors=0), anchors, seed=seed)
    found = density(plan)
    most = 1 / (target.text_mass / target.text_mass.sum()).clamp(min=1 / 60)
    assert (found <= most * (1 + 1e-5)).all()
    # What lies below is the plan's own.
    raw = plan.images @ plan.texts.t() + plan.image_potentials[:, None] + plan.text_potentials
    below = raw.exp() <= most
    assert torch.equal(found[below], raw.exp()[below])


@pytest.mark.parametrize('labels', [1, 9])
def test_known_pairs_are_in_the_part(labels: int) -> None:
    target = random_target()
    rows = torch.arange(labels)
    anchors = Anchors(39 - rows, 49 - 2 * rows)
    for seed in range(3):
        part = draw_reference(target, 6, seed, anchors)
        assert len(part.images) == len(part.texts) == max(6, labels)
        assert set(anchors.images.tolist()) <= set(part.images.tolist())
        assert set(anchors.texts.tolist()) <= set(part.texts.tolist())
        assert part.images.tolist() == sorted(set(part.images.tolist()))
    plan = make_plan(target, PlanOptions(max_items=6), anchors)
    assert plan.density(anchors.images, anchors.texts).isfinite().all()


def test_max_items_of_all_items_changes_nothing() -> None:
    target = random_target()
    plans = [density(make_plan(target, PlanOptions(max_items=n))) for n in (50, 4096)]
    assert torch.equal(*plans)


# --- what the method is for -----------------------------------------------------------------------


def test_structure_repairs_names_that_the_source_mistakes() -> None:
    gains = []
    for seed in range(4):
        target, *classes = misnamed_target(seed)
        before, after = (
            right_share(make_plan(target, PlanOptions(structure=weight)), *classes)
            for weight in (0.0, 2.0)
        )
        assert before < 0.55
        gains.append(after - before)
    assert min(gains) > 0.1 and sum(gains) / len(gains) > 0.25, gains


def test_structure_of_unrelated_features_repairs_nothing() -> None:
    """The control: features of the images in another order."""
    gains = []
    for seed in range(4):
        target, *classes = misnamed_target(seed)
        target = target._replace(image_feats=target.image_feats[torch.randperm(100)])
        options = PlanOptions(neighbors=0)
        before, after = (
            right_share(make_plan(target, options._replace(structure=weight)), *classes)
            for weight in (0.0, 2.0)
        )
        gains.append(after - before)
    assert sum(gains) / len(gains) < 0.05, gains


def test_anchors_move_mass_to_the_class_of_the_anchor() -> None:
    target, of_images, of_texts = misnamed_target(1)
    wrong = 2
    anchors = Anchors(torch.where(of_images == wrong)[0][:3], torch.where(of_texts == wrong)[0][:3])
    shares = []
    for given in (None, anchors):
        plan = plan_matrix(make_plan(target, anchors=given), target.text_mass)
        rows = plan[of_images == wrong]
        rows = rows[3:]  # not the anchors themselves
        shares.append(float(rows[:, of_texts == wrong].sum() / rows.sum()))
    assert shares[1] > shares[0] + 0.3, shares


def test_no_anchors_are_none() -> None:
    target, empty = random_target(), torch.zeros(0, dtype=torch.long)
    without = make_plan(target)
    assert torch.equal(density(make_plan(target, anchors=Anchors(empty, empty))), density(without))


def test_named_groups_pair_images_and_texts_of_a_class() -> None:
    """Words that the source knows: as many as classes."""
    target, of_images, of_texts = misnamed_target(0, wrong=0)
    texts = [f'a photo of kind{int(kind)}' for kind in of_texts]
    options = PlanOptions(structure=0.0, neighbors=0)
    words = options._replace(words=[f'kind{kind}' for kind in range(CLASSES)])
    plain, grouped = (
        right_share(make_plan(target, given, texts=texts), of_images, of_texts)
        for given in (options, words)
    )
    assert grouped > max(plain, 0.9)


def test_groups_need_no_names() -> None:
    target, of_images, of_texts = misnamed_target(0, wrong=0)
    plan = make_plan(target, PlanOptions(groups=CLASSES))
    assert right_share(plan, of_images, of_texts) > 0.9
    assert abs(float(plan_matrix(plan, target.text_mass).sum()) - 1) < 2e-3


# --- collapse -------------------------------------------------------------------------------------


@pytest.mark.parametrize('images', [1, 2, 3])
@pytest.mark.parametrize('texts', [1, 2, 3])
@pytest.mark.parametrize('groups', [0, 2])
def test_few_items(images: int, texts: int, groups: int) -> None:
    target = random_target(images, texts)
    for matched in (1.0, 0.5):
        for neighbors in (None, 5):
            options = PlanOptions(matched=matched, groups=groups, neighbors=neighbors)
            plan = plan_matrix(make_plan(target, options), target.text_mass)
            assert plan.isfinite().all()
            torch.testing.assert_close(float(plan.sum()), matched, rtol=0, atol=2e-3)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equal_embeddings_and_features_say_nothing(dtype: torch.dtype) -> None:
    """Rounding must not be scaled up to scores."""
    target = Target(*(part.to(dtype) for part in random_target()))
    same = [part[:1].expand_as(part) for part in target[:4]]
    plan = density(
        make_plan(
            target._replace(image_embeds=same[0], text_embeds=same[1]), PlanOptions(structure=0)
        )
    )
    torch.testing.assert_close(plan, torch.ones_like(plan), rtol=1e-4, atol=0)
    unstructured = PlanOptions(structure=0, neighbors=0)
    alike = target._replace(image_feats=same[2], text_feats=same[3])
    expected = density(make_plan(target, unstructured))
    torch.testing.assert_close(density(make_plan(alike, PlanOptions(neighbors=0))), expected)
    assert density(make_plan(alike, PlanOptions(groups=3, matched=0.5))).isfinite().all()
    assert density(make_plan(Target(*same, target.text_mass))).isfinite().all()


def test_single_precision_is_close() -> None:
    target = random_target()
    options = PlanOptions(eps=0.3)
    single = density(make_plan(Target(*(part.float() for part in target)), options))
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), density(make_plan(target, options)), rtol=1e-2, atol=1e-3
    )


@pytest.mark.parametrize(
    'options, words',
    [
        (PlanOptions(eps=0.0), 'eps must be positive, got 0.0'),
        (PlanOptions(max_items=0), 'max_items=0'),
        (PlanOptions(matched=0.0), 'matched .* got 0.0'),
        (PlanOptions(words=['harbor']), "'harbor'"),
    ],
)
def test_mistakes(options: PlanOptions, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_plan(random_target(), options, texts=['a port'] * 50)


def test_nothing_to_pair() -> None:
    target = random_target()
    with pytest.raises(ValueError, match='0 images, 50 texts'):
        make_plan(target._replace(image_embeds=torch.zeros(0, 8), image_feats=torch.zeros(0, 12)))
