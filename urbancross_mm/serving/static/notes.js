// Sentences above the results.

import { byId, make } from './dom.js';

export function note(...texts) {
  byId('notes').replaceChildren(...texts.filter(Boolean).map((text) => make('p', {}, text)));
}

/** What the models do not read of the query, after another sentence; whose it is where they differ. */
export function warn(columns, lost) {
  const texts = new Set(columns.flatMap(({ warnings }) => warnings));
  note(lost, ...[...texts].map((text) => {
    const whose = columns.filter(({ warnings }) => warnings.includes(text)).map(({ name }) => name);
    return whose.length < columns.length ? `${whose.join(', ')}: ${text}` : text;
  }));
}

/** What went wrong; '' takes it away. */
export function fail(sentence) {
  byId('error').textContent = sentence;
  byId('error').hidden = !sentence;
  if (sentence) byId('status').textContent = '';
}

export async function share() {
  try {
    await navigator.clipboard.writeText(location.href);
    byId('status').textContent = 'The link is copied';
  } catch {
    byId('status').textContent = `The link is the address of this page: ${location.href}`;
  }
}
