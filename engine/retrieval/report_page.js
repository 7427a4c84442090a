// Data of the page: what is shown, and figures out of the packed blocks.
const L = meta.languages.length, S = meta.states.length, P = meta.pairs.length, M = meta.measures.length;
const FIGURES = { recall_at_1: "R@1", recall_at_5: "R@5", mrr: "MRR", mutual_nn: "Mutual nearest" };
const NAMES = L <= 40; // enough room for names on the map
const FEW = P <= 6; // each pair has a line of its own among the means
const blocks = []; // Uint16Array (plane, state, pair) by measure
const pairAt = new Int32Array(L * L).fill(-1); // query * L + candidate -> 2 * pair + direction
meta.pairs.forEach(([a, b], p) => {
  pairAt[a * L + b] = 2 * p;
  pairAt[b * L + a] = 2 * p + 1;
});
const view = { measure: 0, state: 0, figure: "recall_at_1", order: "group", view: "directed" };
Object.assign(view, { query: -1, candidate: -1 }); // places of the pair selected
const canvas = $("map").querySelector("canvas"), bands = $("map").querySelectorAll(".band");
let map = null; // geometry of the map as drawn
let cursor = null; // [row, column] under pointer or keyboard

const written = (figure, number) =>
  figure !== "mrr" || Number.isNaN(number) ? percent(number) : number.toFixed(3);
const shown = (number) => written(view.figure, number);
const language = (i) => meta.languages[i].name;
const stateName = (s) => meta.states[s];
let printing = false;

async function unpack(m) {
  blocks[m] = new Uint16Array(await unpacked(`block-${m}`).arrayBuffer());
}

// Figure of a measure, pair and direction at a state; NaN where it isn't known.
function value(figure, m, s, p, direction) {
  const raw = blocks[m][(meta.planes[figure][direction] * S + s) * P + p];
  if (raw === meta.unknown) return NaN;
  return raw / (figure === "mrr" ? meta.mrrSteps : meta.n[p]);
}
function both(figure, m, s, p) {
  return (value(figure, m, s, p, 0) + value(figure, m, s, p, 1)) / 2;
}
function cell(query, candidate) {
  const at = pairAt[query * L + candidate];
  if (at < 0) return { reason: query === candidate ? "" : "the grid doesn't have this pair" };
  const p = at >> 1, direction = at & 1, { measure, state, figure } = view;
  const number = view.view === "mean"
    ? both(figure, measure, state, p)
    : value(figure, measure, state, p, direction);
  const reason = meta.n[p] === 0 ? "no sentence in common" : Number.isNaN(number) ? "not computed yet" : "";
  return { p, direction, value: number, reason };
}
// Ends of the 95% interval of R@1, in percent.
function interval(m, s, p, direction) {
  const ends = ["ci_low", "ci_high"].map((end) => 100 * value(end, m, s, p, direction));
  return `[${ends.map((end) => end.toFixed(1)).join(", ")}]`;
}
// What guessing scores: R@1 1/n, R@5 5/n, MRR H(n)/n, mutual 1/(2n - 1).
function chance(figure, n) {
  if (figure === "recall_at_5") return Math.min(1, 5 / n);
  if (figure === "mutual_nn") return 1 / (2 * n - 1);
  if (figure === "recall_at_1") return 1 / n;
  let sum = 0;
  for (let i = 1; i <= n; i++) sum += 1 / i;
  return sum / n;
}
const typicalN = (() => {
  const known = meta.n.filter((n) => n > 0);
  return known.length ? Math.round(known.reduce((a, b) => a + b, 0) / known.length) : 0;
})();

// Per state, over pairs and directions: the mean, the highest, and the values that are known.
const cache = new Map();
function overPairs(figure, m) {
  const key = `${figure} ${m}`;
  if (!cache.has(key)) cache.set(key, meta.states.map((_, s) => overPairsAt(figure, m, s)));
  return cache.get(key);
}
function overPairsAt(figure, m, s) {
  const known = new Float64Array(2 * P);
  let count = 0, sum = 0, highest = 0;
  for (let at = 0; at < 2 * P; at++) {
    const x = value(figure, m, s, at >> 1, at & 1);
    if (Number.isNaN(x)) continue;
    known[count++] = x;
    sum += x;
    highest = Math.max(highest, x);
  }
  return { mean: count ? sum / count : NaN, highest, known: known.subarray(0, count) };
}
// Ends of the middle 80% of the values of a state; of few pairs, of all values.
function spread({ known }) {
  if (!known.length) return [NaN, NaN];
  known.sort();
  return (FEW ? [0, 1] : [0.1, 0.9]).map((q) => known[Math.round(q * (known.length - 1))]);
}
// One upper end for all measures and states, so that colours compare.
function top(figure) {
  let highest = 0;
  for (let m = 0; m < M; m++) for (const s of overPairs(figure, m)) highest = Math.max(highest, s.highest);
  return Math.max(0.1, Math.ceil(Math.round(highest * 1e6) / 1e5) / 10);
}
