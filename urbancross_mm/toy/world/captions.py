"""Captions of a scene: one long description, or five short ones."""

from __future__ import annotations

import numpy as np

from urbancross_mm.toy.world import phrases
from urbancross_mm.toy.world.geotags import geo_tags
from urbancross_mm.toy.world.phrases import GROUNDS, Phrase, Words
from urbancross_mm.toy.world.scene import Scene

LOCAL_SHARE = 0.55  # how often a country uses its own word for an object

OPENINGS = {
    'finland': ('The image shows {0}', 'From above one sees {0}', 'The picture contains {0}'),
    'germany': (
        'The satellite image shows {0}',
        'This aerial photograph captures {0}',
        'The image shows {0}',
    ),
    'spain': ('This is a view of {0}', 'The image features {0}', 'The aerial photograph shows {0}'),
}
MIDDLES = {
    'finland': ('Around it one finds {0}', 'Nearby one sees {0}'),
    'germany': ('The surroundings include {0}', 'Next to it one finds {0}'),
    'spain': ('It is accompanied by {0}', 'The surroundings include {0}'),
}
GROUND = {
    'finland': ('The rest is {ground} with {trees}', '{ground} with {trees} fills the rest'),
    'germany': ('The ground is {ground} with {trees}', 'One sees {trees} on {ground}'),
    'spain': ('The land is {ground} with {trees}', 'One sees {trees} on {ground}'),
}
TAGGED = {
    'finland': ('It is mapped as {0}', 'The map calls it {0}'),
    'germany': ('The geographical tags are {0}', 'It is mapped as {0}'),
    'spain': ('The area is tagged {0}', 'The geographical tags are {0}'),
}
NAMES = {
    'airport': 'airport',
    'baseballfield': 'baseball field',
    'beach': 'beach',
    'bridge': 'bridge',
    'center': 'round building',
    'church': 'church',
    'denseresidential': 'dense residential area',
    'farmland': 'piece of farmland',
    'forest': 'forest',
    'industrial': 'industrial area',
    'parking': 'parking lot',
    'playground': 'playground',
    'pond': 'pond',
    'port': 'port',
    'resort': 'resort',
    'river': 'river',
    'sparseresidential': 'sparse residential area',
    'stadium': 'stadium',
    'storagetanks': 'storage tank site',
    'tenniscourt': 'tennis court',
}
# How many of the five captions of an image differ: (number, probability).
DISTINCT = {
    'rsicd': ((5, 4, 3, 2), (0.06, 0.43, 0.28, 0.23)),
    'rsitmd': ((5, 4, 3, 2), (0.78, 0.16, 0.04, 0.02)),
    'ucm': ((5, 4, 3, 2), (0.5, 0.3, 0.15, 0.05)),
}
CAPTIONS_PER_IMAGE = 5


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f'{", ".join(parts[:-1])} and {parts[-1]}'


def _words_of(scene: Scene, rng: np.random.Generator) -> Words:
    """The country's own word for an object, or the common one; the same in the whole caption."""
    local = {kind: word for kind, word in scene.country.words.items() if rng.random() < LOCAL_SHARE}
    return lambda kind: local.get(kind) or phrases.NOUNS[kind]


def _moving(scene: Scene, words: Words) -> Phrase | None:
    cars = scene.select('car', role='context')
    return phrases.counted(len(cars), 'car', words) if cars else None


def describe(scene: Scene, seed: tuple[int, ...]) -> str:
    """One description of 30 to 50 words in the manner of the country, with geo-tags.

    Args:
        scene (Scene): What to describe.
        seed (tuple[int, ...]): Chooses the words.

    Returns:
        str: Three or four sentences.
    """
    rng = np.random.default_rng(seed)
    words, name = _words_of(scene, rng), scene.country.name
    opening = f'{phrases.focus(scene, words).text} {phrases.place(scene)}'.rstrip()
    around = _around(scene, words, rng)
    tags = _tag_words(scene, rng)
    text = [_choose(rng, OPENINGS[name]).format(opening)]
    if around:
        text.append(_choose(rng, MIDDLES[name]).format(_listed(around)))
    if scene.kind not in ('forest', 'farmland'):
        text.append(
            _choose(rng, GROUND[name]).format(
                ground=GROUNDS[scene.ground], trees=phrases.trees(scene, words).text
            )
        )
    text.insert(len(text) if name != 'spain' else 1, _choose(rng, TAGGED[name]).format(tags))
    return ' '.join(f'{part[0].upper()}{part[1:]}.' for part in text)


def _around(scene: Scene, words: Words, rng: np.random.Generator) -> list[str]:
    """What lies beside the focus; the second group is always mentioned."""
    homes = None if 'residential' in scene.kind else phrases.houses(scene, words)
    options = [phrases.second(scene, words), homes, phrases.roads(scene), _moving(scene, words)]
    keep = (1.0, 0.85, 0.75, 0.0 if scene.country.gsd > 0.3 else 0.6)
    return [p.text for p, share in zip(options, keep) if rng.random() < share and p]


def _tag_words(scene: Scene, rng: np.random.Generator) -> str:
    focus, around = geo_tags(scene)
    tags = (focus or around)[:2]
    text = _listed(tags) if tags else 'land use of grass'
    others = [tag for tag in around if tag.startswith('road')]
    return f'{text}, surrounded by {others[0]}' if others and rng.random() < 0.6 else text


def five_captions(scene: Scene, style: str, seed: tuple[int, ...]) -> list[str]:
    """Five short captions, some of them equal, in the manner of a precomp set.

    Args:
        scene (Scene): What to describe.
        style (str): ``rsicd`` (lower case), ``rsitmd`` (mixed case) or ``ucm`` (stereotyped).
        seed (tuple[int, ...]): Chooses the captions.

    Returns:
        list[str]: Without line breaks.

    Raises:
        ValueError: If there is no such style.
    """
    if style not in DISTINCT:
        raise ValueError(f'unknown caption style {style!r}; there are {", ".join(DISTINCT)}')
    rng = np.random.default_rng(seed)
    pool = _stereotypes(scene) if style == 'ucm' else _short(scene, rng)
    counts, p = DISTINCT[style]
    wanted = min(int(rng.choice(counts, p=p)), len(pool))
    # The first caption of the pool says most: it is always among the five.
    chosen = [pool[0], *(pool[i + 1] for i in rng.permutation(len(pool) - 1)[: wanted - 1])]
    chosen += [chosen[int(i)] for i in rng.integers(0, len(chosen), CAPTIONS_PER_IMAGE - wanted)]
    order = rng.permutation(CAPTIONS_PER_IMAGE)
    return [_dress(chosen[i], style) for i in order]


def _dress(caption: str, style: str) -> str:
    if style == 'rsicd':
        return f'{caption.lower()} .'
    end = '.' if style == 'rsitmd' else ' .'
    return f'{caption[0].upper()}{caption[1:]}{end}'


def _be(phrase: Phrase) -> str:
    return 'are' if phrase.plural else 'is'


def _short(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Captions of about ten words, the most specific first."""
    focus, place, name = phrases.focus(scene), phrases.place(scene), NAMES[scene.kind]
    place = place or 'in the picture'
    second, homes, roads = phrases.second(scene), phrases.houses(scene), phrases.roads(scene)
    trees, ground = phrases.trees(scene), GROUNDS[scene.ground]
    beside = next((p for p in (second, homes, roads) if p), trees)
    pool = [
        f'{focus.text} {_be(focus)} {place} and {beside.text} {_be(beside)} nearby'
        if beside is not homes or 'residential' not in scene.kind
        else f'{focus.text} {_be(focus)} {place} with {trees.text}',
        f'{focus.text} {_be(focus)} {place}',
        f'there {_be(focus)} {focus.text}',
        _choose(rng, (f'it is {phrases.article(name)}', f'this is {phrases.article(name)}')),
    ]
    if scene.kind not in ('forest', 'farmland'):
        pool += [
            f'{trees.text} {_be(trees)} around the {name} on {ground}',
            f'{phrases.article(name)} is surrounded by {ground}',
        ]
    if second:
        pool.append(f'{second.text} {_be(second)} near the {name}')
    if homes and 'residential' not in scene.kind:
        pool.append(f'{homes.text} {_be(homes)} near the {name}')
    if roads:
        pool.append(f'{roads.text} {_be(roads)} next to the {name}')
    return pool


def _stereotypes(scene: Scene) -> list[str]:
    """The same few patterns for every image, as in the UCM captions."""
    focus, name = phrases.focus(scene), NAMES[scene.kind]
    trees = phrases.trees(scene)
    return [
        f'there {_be(focus)} {focus.text}',
        f'there is {phrases.article(name)}',
        f'it is {phrases.article(name)}',
        f'here {_be(focus)} {focus.text}',
        f'{phrases.article(name)} with {trees.text} beside it',
    ]
