// What the page shows before the first query.

import { byId, make } from './dom.js';

const HIDDEN = ['pager', 'take', 'marks', 'legend'];

/** `onPick(text)` is called with the example that is chosen. */
export function showWelcome({ examples, items }, onPick) {
  byId('results').removeAttribute('aria-busy');
  byId('columns').className = 'columns';
  byId('columns').replaceChildren(make('div', { class: 'welcome' },
    make('h2', {}, 'What are you looking for?'),
    make('p', {}, 'Describe it in words, or drop an image. Draw on the map to search in one area only.'),
    make('div', { class: 'row' }, ...examples.map((text) => make('button', {
      type: 'button', class: 'facet', onclick: () => onPick(text),
    }, text)))));
  for (const id of HIDDEN) byId(id).hidden = true;
  byId('status').textContent = `${items.toLocaleString('en')} images are indexed`;
}
