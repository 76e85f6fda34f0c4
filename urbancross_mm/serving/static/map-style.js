// The plain base map: land, borders and a graticule, in the colors of the page. Nothing is loaded
// from elsewhere.

import { ringAround } from './bounds.js';

const LIGHT = {
  water: '#dfe7ee', land: '#f7f8f8', border: '#b9c3cd', graticule: '#c6d1db',
  first: '#0b5cad', second: '#a8420c', area: '#5b1a8b',
};
const DARK = {
  water: '#10161d', land: '#1d252e', border: '#44515f', graticule: '#27323d',
  first: '#83bbff', second: '#ffb083', area: '#d9a8ff',
};

export const darkness = matchMedia('(prefers-color-scheme: dark)');
export const colors = () => (darkness.matches ? DARK : LIGHT);

const collection = (features) => ({ type: 'FeatureCollection', features });
export const nothing = collection([]);
const line = (coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } });

function graticule(step) {
  const lines = [];
  for (let lon = -180; lon <= 180; lon += step) lines.push(line([[lon, -85], [lon, 85]]));
  for (let lat = -80; lat <= 80; lat += step) lines.push(line([[-180, lat], [180, lat]]));
  return collection(lines);
}

const COLUMN_COLOR = (all) => ['match', ['get', 'column'], 1, all.second, all.first];
const LIT = (lit, otherwise) => ['case', ['boolean', ['feature-state', 'lit'], false], lit, otherwise];

export function baseStyle() {
  const all = colors();
  const source = (data) => ({ type: 'geojson', data });
  return {
    version: 8,
    sources: {
      land: source(new URL('vendor/land.json', import.meta.url).href),
      graticule: source(graticule(10)),
      hits: { ...source(nothing), promoteId: 'key' },
      area: source(nothing),
      drawing: source(nothing),
    },
    layers: [
      { id: 'water', type: 'background', paint: { 'background-color': all.water } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': all.land } },
      { id: 'graticule', type: 'line', source: 'graticule', paint: { 'line-color': all.graticule, 'line-width': 0.6 } },
      {
        // Of 1:110 million: from near it would be wrong.
        id: 'borders', type: 'line', source: 'land',
        paint: {
          'line-color': all.border, 'line-width': 0.9,
          'line-opacity': ['interpolate', ['linear'], ['zoom'], 8, 1, 10, 0],
        },
      },
      { id: 'area', type: 'fill', source: 'area', paint: { 'fill-color': all.area, 'fill-opacity': 0.1 } },
      { id: 'area-line', type: 'line', source: 'area', paint: { 'line-color': all.area, 'line-width': 2 } },
      {
        id: 'hits', type: 'fill', source: 'hits',
        paint: { 'fill-color': COLUMN_COLOR(all), 'fill-opacity': LIT(0.4, 0.12) },
      },
      {
        id: 'hits-line', type: 'line', source: 'hits',
        paint: { 'line-color': COLUMN_COLOR(all), 'line-width': LIT(3.5, 1.8) },
      },
      {
        id: 'drawing', type: 'line', source: 'drawing',
        paint: { 'line-color': all.area, 'line-width': 2.5, 'line-dasharray': [2, 1.5] },
      },
    ],
  };
}

/** A polygon or line of a ring; of one point nothing can be drawn. */
export function outline(ring, closed) {
  if (!ring || ring.length < 2) return nothing;
  const around = [...ring, ring[0]];
  const geometry = closed
    ? { type: 'Polygon', coordinates: [around] }
    : { type: 'LineString', coordinates: around };
  return collection([{ type: 'Feature', properties: {}, geometry }]);
}

export function footprints(columns) {
  return collection(columns.flatMap((column, number) => column.hits.filter((hit) => hit.bounds).map((hit) => {
    return {
      type: 'Feature',
      properties: { key: `${number}:${hit.id}`, column: number },
      geometry: { type: 'Polygon', coordinates: [ringAround(hit.bounds)] },
    };
  })));
}
