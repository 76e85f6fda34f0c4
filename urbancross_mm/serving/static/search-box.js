// The search box: earlier queries while it is empty, suggestions of the index while one types.

import * as api from './api.js';
import { byId, make } from './dom.js';

const KEY = 'urbancross-history';
const MOST = 20;
const SHOWN = 8;

function history() {
  try {
    const entries = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(entries) ? entries.filter((entry) => typeof entry === 'string') : [];
  } catch {
    return [];
  }
}

function keep(entries) {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries.slice(0, MOST)));
  } catch { /* private windows have no storage */ }
}

export function remember(text) {
  if (text) keep([text, ...history().filter((entry) => entry !== text)]);
}

const FORGET = { text: 'Clear the history', kind: '', forget: true };

export class SearchBox {
  constructor({ onSearch, model }) {
    this.input = byId('q');
    this.list = byId('phrases');
    this.onSearch = onSearch;
    this.model = model;
    this.entries = [];
    this.active = -1;
    this.input.addEventListener('input', () => this.offer());
    this.input.addEventListener('focus', () => this.offer());
    this.input.addEventListener('click', () => this.offer());
    this.input.addEventListener('blur', () => this.close());
    this.input.addEventListener('keydown', (event) => this.key(event));
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault();
      this.close();
      this.onSearch(this.input.value.trim());
    });
  }

  async offer() {
    this.request?.abort();
    this.request = new AbortController();
    const typed = this.input.value.trim();
    const past = history().filter((entry) => entry.toLowerCase().includes(typed.toLowerCase()));
    const entries = past.slice(0, typed ? 3 : SHOWN).map((text) => ({ text, kind: 'earlier' }));
    if (typed) {
      try {
        const { phrases } = await api.suggest(typed, this.model(), this.request.signal);
        const rest = phrases.filter((text) => !entries.some((entry) => entry.text === text));
        entries.push(...rest.map((text) => ({ text, kind: '' })));
      } catch {
        return; // a later key has asked again, or there is nothing to suggest from
      }
    } else if (entries.length) {
      entries.push(FORGET);
    }
    if (document.activeElement === this.input) this.open(entries.slice(0, SHOWN + 1));
  }

  open(entries) {
    this.entries = entries;
    this.active = -1;
    this.list.replaceChildren(...entries.map((entry, number) => make('li', {
      id: `phrase-${number}`, role: 'option', 'aria-selected': 'false',
      onmousedown: (event) => event.preventDefault(), // the box keeps the focus
      onclick: () => this.take(entry),
    }, make('span', { class: 'kind' }, entry.kind), entry.text)));
    this.list.hidden = !entries.length;
    this.input.setAttribute('aria-expanded', String(!this.list.hidden));
    this.input.removeAttribute('aria-activedescendant');
  }

  close() {
    this.request?.abort();
    this.open([]);
  }

  take(entry) {
    if (entry.forget) {
      keep([]);
      this.close();
      return;
    }
    this.input.value = entry.text;
    this.close();
    this.onSearch(entry.text);
  }

  key(event) {
    if (event.key === 'Escape' && !this.list.hidden) {
      event.preventDefault();
      this.close();
    } else if (['ArrowDown', 'ArrowUp'].includes(event.key)) {
      event.preventDefault();
      if (this.list.hidden) this.offer();
      else this.move(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter' && this.active >= 0) {
      event.preventDefault();
      this.take(this.entries[this.active]);
    }
  }

  move(step) {
    const count = this.entries.length;
    this.active = (this.active + step + (this.active < 0 && step < 0 ? 1 : 0) + count) % count;
    [...this.list.children].forEach((item, number) => {
      item.setAttribute('aria-selected', String(number === this.active));
      if (number === this.active) item.scrollIntoView({ block: 'nearest' });
    });
    this.input.setAttribute('aria-activedescendant', `phrase-${this.active}`);
  }
}
