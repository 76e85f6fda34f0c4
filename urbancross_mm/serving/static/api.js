// What the page asks the server. Errors carry the server's one sentence.

async function answer(response) {
  if (response.ok) return response.json();
  let detail = `the server answered ${response.status}`;
  try {
    detail = (await response.json()).detail ?? detail;
  } catch { /* no sentence came with it */ }
  throw Object.assign(new Error(detail), { status: response.status });
}

async function ask(address, options = {}) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('the server cannot be reached');
  }
  return answer(response);
}

const LONGEST_ADDRESS = 6000;

export const info = () => ask('api/info');

export const suggest = (typed, model, signal) =>
  ask(`api/suggest?${new URLSearchParams({ typed, ...(model && { model }) })}`, { signal });

export function search(query, signal) {
  const text = query.toString();
  if (text.length < LONGEST_ADDRESS) return ask(`api/search?${text}`, { signal });
  return ask('api/search', { ...json(bodyOf(query)), signal });
}

const LISTS = ['texts', 'minus', 'uploads', 'likes', 'dislikes', 'where'];

function bodyOf(query) {
  const body = {};
  for (const name of new Set(query.keys())) {
    body[name] = LISTS.includes(name) ? query.getAll(name) : query.get(name);
  }
  return body;
}

const json = (body) => ({
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
});

export function searchByImage(file, model) {
  const form = new FormData();
  form.append('file', file);
  form.append('topk', 1);
  if (model) form.append('model', model);
  return ask('api/search/image', { method: 'POST', body: form });
}

export const locate = (raster, body, signal) =>
  ask(`api/rasters/${encodeURIComponent(raster)}/locate`, { ...json(body), signal });
