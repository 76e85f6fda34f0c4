// The hits as cards, in one column or in two.

import { byId, calm, icon, make } from './dom.js';

const SPOKEN = ['caption', 'captions', 'class', 'tags'];

const sentence = (text) => text.trim().split('. ')[0].replace(/\.$/, '');

/** What is said of a hit: the first sentence of its caption, its tags, or its name. */
export function describe(hit) {
  for (const name of SPOKEN) {
    const value = hit.attributes[name];
    if (typeof value === 'string' && value) return sentence(value);
    if (Array.isArray(value) && value.length) return name === 'tags' ? value.join(', ') : sentence(String(value[0]));
  }
  return hit.id;
}

export const hasPosition = (hit) => hit.lon != null && hit.lat != null;

export class Results {
  constructor({ onLight, onPick, onMore, onMark, onOpen }) {
    Object.assign(this, { onLight, onPick, onMore, onMark, onOpen });
    this.cards = new Map();
  }

  /** Columns: `{name, hits, error}`; marks: sets of ids. */
  show(columns, marks) {
    this.cards.clear();
    const two = columns.length > 1;
    const parts = columns.map((column, number) => make('div',
      { class: number ? 'column second' : 'column' },
      two ? make('h2', {}, column.name) : null,
      column.error ? make('p', { class: 'error' }, column.error) : null,
      make('ol', { class: 'grid', 'aria-label': two ? `Hits of ${column.name}` : 'Hits' },
        ...column.hits.map((hit) => this.card(hit, `${number}:${hit.id}`, marks)))));
    byId('columns').className = two ? 'columns two' : 'columns';
    byId('columns').replaceChildren(...parts);
  }

  card(hit, key, marks) {
    const what = describe(hit);
    const card = make('li', { class: 'card', 'data-key': key },
      make('button', {
        type: 'button', class: 'thumbnail', 'aria-label': `Hit ${hit.rank}: ${what}. Show details`,
        onclick: () => { this.onPick(key, false); this.onOpen(hit); },
      },
      make('img', { src: hit.image, alt: '', loading: 'lazy', width: 256, height: 256 }),
      make('span', { class: 'rank' }, String(hit.rank))),
      make('div', { class: 'words' }, make('p', { title: what }, what),
        make('small', {}, make('span', {}, hit.attributes.country ?? ''),
          make('span', { class: 'score', title: 'Cosine similarity' }, hit.score.toFixed(3)))),
      this.acts(hit, key));
    this.mark(card, hit.id, marks);
    for (const [name, on] of [['mouseenter', true], ['mouseleave', false], ['focusin', true], ['focusout', false]]) {
      card.addEventListener(name, () => this.onLight(key, on));
    }
    this.cards.set(key, { card, hit });
    return card;
  }

  acts(hit, key) {
    const act = (kind, name, label, onclick, pressed) => make('button', {
      type: 'button', class: `act ${kind}`, title: label, 'aria-label': `${label}: hit ${hit.rank}`,
      'aria-pressed': pressed, onclick,
    }, icon(name));
    return make('div', { class: 'acts' },
      act('', 'more', 'More like this', () => this.onMore(hit)),
      hasPosition(hit) ? act('', 'pin', 'Show on the map', () => this.onPick(key, true)) : null,
      act('yes', 'check', 'Right', () => this.onMark(hit.id, 'like'), 'false'),
      act('no', 'close', 'Wrong', () => this.onMark(hit.id, 'dislike'), 'false'));
  }

  mark(card, id, { like, dislike }) {
    card.classList.toggle('right', like.has(id));
    card.classList.toggle('wrong', dislike.has(id));
    card.querySelector('.yes').setAttribute('aria-pressed', String(like.has(id)));
    card.querySelector('.no').setAttribute('aria-pressed', String(dislike.has(id)));
  }

  marks(marks) {
    for (const { card, hit } of this.cards.values()) this.mark(card, hit.id, marks);
  }

  light(key, on) {
    this.cards.get(key)?.card.classList.toggle('lit', on);
  }

  pick(key, scroll) {
    for (const [other, { card }] of this.cards) card.classList.toggle('picked', other === key);
    if (scroll) {
      this.cards.get(key)?.card.scrollIntoView({ block: 'nearest', behavior: calm() ? 'auto' : 'smooth' });
    }
  }
}

/** The image of a hit with all that the index holds of it. */
export function openDetail(hit) {
  byId('detail-title').textContent = `${hit.rank}. ${describe(hit)}`;
  const image = byId('detail-image');
  image.src = `${hit.image}&size=full`;
  image.alt = describe(hit);
  const rows = { id: hit.id, score: hit.score.toFixed(4) };
  if (hasPosition(hit)) rows.position = `${hit.lat.toFixed(6)}, ${hit.lon.toFixed(6)}`;
  for (const [name, value] of Object.entries(hit.attributes)) {
    if (value != null && value !== '') rows[name] = typeof value === 'object' ? listed(value) : String(value);
  }
  byId('detail-list').replaceChildren(...Object.entries(rows).flatMap(
    ([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));
  byId('detail').showModal();
}

const listed = (value) => (Array.isArray(value) ? value.join(', ') : JSON.stringify(value));
