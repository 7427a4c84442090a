// Data of the page: what is shown, and figures out of the packed blocks.
const { terms, term, matches, tables, drawSorted, addTools, showTable, bring, addressOfTables, readTables } =
  globalThis.forTables;
const { about, qText } = globalThis.forTables;
const { HEAD, chartFile, figureFile, saveRows, saveVector, addDownloads, drawNames, drawBars, pathOf } =
  globalThis.forFigures;
const L = meta.languages.length, S = meta.states.length, P = meta.pairs.length, M = meta.measures.length;
const FIGURES = { recall_at_1: "R@1", recall_at_5: "R@5", mrr: "MRR", mutual_nn: "Mutual nearest" };
const MANY = L > 60; // their map takes the whole width, so that names can be read
const FEW = P <= 6; // each pair has a line of its own among the means
const BASELINE = M; // index of duration alone, which has no card and no correction
const blocks = []; // Uint16Array (plane, scoring, state, pair) by correction, loaded when needed
const placeOf = []; // [block, place in it, scorings in it] by scoring
meta.blocks.forEach((held, block) =>
  held.forEach((v, place) => {
    placeOf[v] = [block, place, held.length];
  })
);
let onsets = null; // Uint16Array (plane, scoring, pair, direction)
let means = null; // Uint16Array (end, state, scoring)
const pairAt = new Int32Array(L * L).fill(-1); // query * L + candidate -> 2 * pair + direction
meta.pairs.forEach(([a, b], p) => {
  pairAt[a * L + b] = 2 * p;
  pairAt[b * L + a] = 2 * p + 1;
});
const view = { measure: 0, correction: 0, state: 0, figure: "recall_at_1", order: "group", view: "directed" };
Object.assign(view, { query: -1, candidate: -1, answers: "missed", lines: "", form: "chart" }); // places of the pair selected
const canvas = $("map").querySelector("canvas"), bands = $("map").querySelectorAll(".band");
let map = null; // geometry of the map as drawn
let cursor = null; // [row, column] under pointer or keyboard

const written = (figure, number) =>
  figure !== "mrr" || Number.isNaN(number) ? percent(number) : number.toFixed(3);
const shown = (number) => written(view.figure, number);
const language = (i) => meta.languages[i].name;
const deep = meta.depths.at(-1) - meta.depths[0];
// Place of a state between the first and the last, from 0 to 1, by its depth in the encoder.
const across = (s) => deep > 0 ? (meta.depths[s] - meta.depths[0]) / deep : 0.5;
const stateName = (s) => meta.states[s];
let printing = false;

// Numbers of a block, which has the low bytes of all before the high ones.
async function unpack(id) {
  const bytes = new Uint8Array(await unpacked(id).arrayBuffer()), count = bytes.length / 2;
  const numbers = new Uint16Array(count);
  for (let i = 0; i < count; i++) numbers[i] = bytes[i] | bytes[count + i] << 8;
  return numbers;
}
// Scoring of a measure under the correction chosen: the index of its block.
const scoringOf = (m) => m === BASELINE ? meta.baseline : meta.scorings[view.correction][m];
// Loads the blocks of a correction that aren't loaded yet.
async function load(correction) {
  onsets ??= await unpack("onsets");
  means ??= await unpack("means");
  const scorings = [...meta.scorings[correction], meta.baseline].filter((v) => v >= 0);
  const wanted = new Set(scorings.map((v) => placeOf[v][0]).filter((block) => !blocks[block]));
  await Promise.all([...wanted].map(async (block) => {
    blocks[block] = await unpack(`block-${block}`);
  }));
}
const bestOf = (m) => meta.best[scoringOf(m)];
const measureName = (m) => m === BASELINE ? "Duration alone" : meta.measures[m].label;
// Name of the measure shown, with its correction.
function scoringName() {
  const { label } = meta.corrections[view.correction];
  return measureName(view.measure) + (view.correction ? `, ${label}` : "");
}

// Number as a block holds it; NaN where it isn't known.
function stored(figure, m, s, p, direction) {
  const [block, place, held] = placeOf[scoringOf(m)], plane = meta.planes[figure][direction];
  const raw = blocks[block][((plane * held + place) * S + s) * P + p];
  return raw === meta.unknown ? NaN : raw;
}
// Figure of a measure, pair and direction at a state.
function value(figure, m, s, p, direction) {
  return stored(figure, m, s, p, direction) / (figure === "mrr" ? meta.steps : meta.n[p]);
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
// The q of a cell, which follows from n and the number of hits.
function discovery(m, s, p, direction) {
  return meta.q[meta.n[p]]?.[stored("recall_at_1", m, s, p, direction)] ?? NaN;
}
// The candidates that come first most often, as text; hubs if they answer many queries.
function hub(m, s, p, direction) {
  const read = (name) => meta.planes[name] ? stored(name, m, s, p, direction) : NaN;
  const found = ["", "_2", "_3"].map((k) => [read(`hub${k}`), read(`hub_queries${k}`)]).filter(([, q]) =>
    q > 0
  );
  const words = found.map(([at, queries], k) => `${meta.hubs[at]}${k ? " for" : ", first for"} ${queries}`);
  return words.length ? `sentence ${words.join(", ")} of ${meta.n[p]}` : "–";
}
// First state above the length baseline, then the ends of its interval. S is none, unknown is NaN.
function onset(p, direction) {
  const V = meta.best.length, v = scoringOf(view.measure);
  return [0, 1, 2].map((plane) => {
    const raw = onsets[((plane * V + v) * P + p) * 2 + direction];
    return raw === meta.unknown ? NaN : raw;
  });
}
function heldOut(p, direction) {
  const raw = onsets[((3 * meta.best.length + scoringOf(view.measure)) * P + p) * 2 + direction];
  return raw === meta.unknown ? NaN : raw / meta.steps;
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
  const key = `${figure} ${scoringOf(m)}`;
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
// Ends of the 95% interval of a mean R@1, over sentences (0) or over languages (1).
function meanEnds(m, s, over) {
  return [0, 1].map((end) => {
    const raw = means[((2 * over + end) * S + s) * meta.best.length + scoringOf(m)];
    return raw === meta.unknown ? NaN : raw / meta.steps;
  });
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
