// Boxes in degrees on a globe: `[west, south, east, north]`, where a west larger than the east
// crosses the antimeridian.

const round = (number) => Number(number.toFixed(6));
/** Maps repeat; the filter language has each longitude once. */
const wrapped = (lon) => round(((((lon + 180) % 360) + 360) % 360) - 180);

/** A box on a map that repeats, as a box on the globe; one around all of the globe is all of it. */
export function globeBox([west, south, east, north]) {
  if (east - west >= 360) return [-180, round(south), 180, round(north)];
  const right = wrapped(east);
  return [wrapped(west), round(south), right === -180 ? 180 : right, round(north)];
}

/** A box whose east goes on beyond 180 where it crosses the antimeridian, as a map draws it. */
export const unrolled = ([west, south, east, north]) => [west, south, east < west ? east + 360 : east, north];

/** The corners of a box, closed. */
export function ringAround(box) {
  const [west, south, east, north] = unrolled(box);
  return [[west, south], [east, south], [east, north], [west, north], [west, south]];
}

/** The box of a ring, which may go on beyond 180. */
export function boxOfRing(ring) {
  const [lons, lats] = [0, 1].map((axis) => ring.map((corner) => corner[axis]));
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** A ring moved by whole turns, so that it begins on the globe. */
export function turned(ring) {
  const [west] = boxOfRing(ring);
  const turn = wrapped(west) - west;
  return ring.map(([lon, lat]) => [round(lon + turn), round(lat)]);
}

/** The smallest box around boxes, unrolled; null around none. It leaves out the widest gap. */
export function boxAround(boxes) {
  if (!boxes.length) return null;
  const arcs = boxes.map(unrolled).map(([west, , east]) => [wrapped(west), wrapped(west) + east - west]);
  arcs.sort(([a], [b]) => a - b);
  const last = Math.max(...arcs.map(([, end]) => end));
  let [[west, reach]] = arcs;
  let [east, gap] = [last, west + 360 - last];
  reach = Math.max(reach, last - 360);
  for (const [start, end] of arcs.slice(1)) {
    if (start - reach > gap) [west, east, gap] = [start, reach + 360, start - reach];
    reach = Math.max(reach, end);
  }
  if (gap <= 0) [west, east] = [-180, 180];
  const south = Math.min(...boxes.map((box) => box[1]));
  const north = Math.max(...boxes.map((box) => box[3]));
  return [west, south, east, north];
}
