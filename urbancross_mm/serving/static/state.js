// The state of the page, which is the address of the page.

export const PAGE_SIZE = 24;
const LISTS = ['like', 'dislike', 'where', 'hide'];
const TEXTS = ['q', 'minus', 'upload', 'area', 'model', 'heat'];
const MOST_PAGE = 400; // the server skips 10,000 hits at most

export const fresh = () => ({
  q: '', minus: '', upload: '', area: '', model: '', heat: '',
  like: [], dislike: [], where: [], hide: [],
  duplicates: false, compare: false, page: 1, opacity: 70,
});

const whole = (text, low, high, otherwise) => {
  const number = Number.parseInt(text ?? '', 10);
  return Number.isNaN(number) ? otherwise : Math.min(high, Math.max(low, number));
};

export function read(query) {
  const given = new URLSearchParams(query);
  const state = fresh();
  for (const name of TEXTS) state[name] = given.get(name) ?? '';
  for (const name of LISTS) state[name] = given.getAll(name);
  // Other programs know boxes, and not the filter language.
  if (!state.area && given.get('bbox')) state.area = `bbox=${given.get('bbox')}`;
  state.duplicates = given.get('duplicates') === 'hide';
  state.compare = given.get('compare') === 'yes';
  state.page = whole(given.get('page'), 1, MOST_PAGE, 1);
  state.opacity = whole(given.get('opacity'), 0, 100, 70);
  return state;
}

export function write(state) {
  const query = new URLSearchParams();
  for (const name of TEXTS) if (state[name]) query.set(name, state[name]);
  for (const name of LISTS) for (const value of state[name]) query.append(name, value);
  if (state.duplicates) query.set('duplicates', 'hide');
  if (state.compare) query.set('compare', 'yes');
  if (state.page > 1) query.set('page', state.page);
  if (state.opacity !== 70) query.set('opacity', state.opacity);
  const text = query.toString();
  return text ? `?${text}` : location.pathname;
}

export const isEmpty = (state) => !state.q && !state.upload && !state.like.length;

/** What the server is asked, as the parameters of its address. */
export function asked(state, model, { topk = PAGE_SIZE, offset = (state.page - 1) * PAGE_SIZE } = {}) {
  const query = new URLSearchParams();
  if (state.q) query.append('texts', state.q);
  if (state.minus) query.append('minus', state.minus);
  if (state.upload) query.append('uploads', state.upload);
  for (const id of state.like) query.append('likes', id);
  for (const id of state.dislike) query.append('dislikes', id);
  for (const condition of state.where) query.append('where', condition);
  if (state.area) query.append('where', state.area);
  if (state.duplicates) query.append('hide_duplicates', 'true');
  if (model) query.append('model', model);
  query.append('topk', topk);
  query.append('offset', offset);
  return query;
}
