// Data of the page of maps: what is shown, and distances out of the packed blocks.
const { shades } = globalThis.forFigures;
const L = meta.languages.length, S = meta.states.length, P = L * (L - 1) / 2;
const blocks = {}; // typed arrays by name; the paths of the land as text
const view = { scoring: meta.leading, state: 0, kind: "borders", from: 0, part: "" };
const pen = node("canvas").getContext("2d");
function widthOfText(text, size) {
  pen.font = font(size);
  return pen.measureText(text).width;
}
const language = (i) => meta.languages[i].name;
const plane = meta.plane;
const placeOf = new Map(meta.placed.map((i, k) => [i, k])); // language -> cell

async function unpack() {
  const kinds = { distances: Uint16Array, onsets: Uint16Array };
  for (const name of ["scaling", "variance", "trees", "support"]) kinds[name] = Float32Array;
  for (const [name, kind] of Object.entries(kinds)) {
    const id = `block-${name}`;
    if ($(id)) blocks[name] = new kind(await unpacked(id).arrayBuffer());
  }
  blocks.land = await unpacked("block-land").text();
}

// Distance of two languages at a state; NaN where it isn't known.
function far(i, j, s = view.state, v = view.scoring) {
  if (i === j) return 0;
  const [a, b] = i < j ? [i, j] : [j, i];
  const raw = blocks.distances[(v * S + s) * P + a * L - a * (a + 1) / 2 + b - a - 1];
  return raw === meta.unknown ? NaN : raw / meta.steps;
}
// Smallest distance of two languages over all states, so that colours and widths compare along the slider.
const nearest = new Map();
function least(v = view.scoring) {
  if (!nearest.has(v)) {
    let low = 1;
    for (let at = v * S * P; at < (v + 1) * S * P; at++) {
      low = Math.min(low, blocks.distances[at] / meta.steps);
    }
    nearest.set(v, Math.max(0, Math.floor(low * 10) / 10));
  }
  return nearest.get(v);
}
// From 0, as near as any two languages get, to 1, nothing in common.
const share = (distance) => (distance - least()) / Math.max(1e-9, 1 - least());

let printing = false;
const ramp = (t) => `rgb(${shades(printing)(Math.max(0, Math.min(1, t))).join(" ")})`;

// Places of the languages in the scaling at a state.
function scaled(s = view.state) {
  const start = (view.scoring * S + s) * L * 2;
  return meta.languages.map((_, i) => [blocks.scaling[start + 2 * i], blocks.scaling[start + 2 * i + 1]]);
}
// Radius of the scaling over all states, so that languages that come together also fade to one colour.
function radius() {
  let most = 1e-9;
  for (let s = 0; s < S; s++) for (const [x, y] of scaled(s)) most = Math.max(most, Math.hypot(x, y));
  return most;
}
// Colour of a language by its place in the scaling; grey where not all distances are known.
function hues() {
  const light = dark().matches && !printing ? 0.62 : 0.68;
  if (!blocks.scaling) return meta.languages.map(() => `oklab(${light} 0 0)`);
  const most = radius();
  return scaled().map(([x, y]) => {
    const [a, b] = [x, y].map((c) => (0.17 * c / most).toFixed(3));
    return `oklab(${light} ${a} ${b})`;
  });
}
// Leaves of the tree at a state, from one end to the other.
function tree(s = view.state) {
  const start = (view.scoring * S + s) * (L - 1) * 3,
    nodes = meta.languages.map((_, i) => ({ leaves: [i], height: 0 }));
  for (let k = 0; k < L - 1; k++) {
    const [left, right, height] = blocks.trees.subarray(start + 3 * k, start + 3 * k + 3);
    const two = [nodes[left], nodes[right]].sort((a, b) => a.leaves.length - b.leaves.length);
    const support = blocks.support[(view.scoring * S + s) * (L - 1) + k];
    nodes.push({ children: two, leaves: two.flatMap(({ leaves }) => leaves), height, support });
  }
  return nodes.at(-1);
}
