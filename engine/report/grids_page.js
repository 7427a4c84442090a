// Data of the page of several grids: what is shown, means by grid, and contrasts out of the packed blocks.
const { terms, about, qText, tables, drawSorted, addTools, bring, addressOfTables, readTables } =
  globalThis.forTables;
const { chartFile, saveRows, saveVector, addDownloads, drawNames, drawBars, pathOf } = globalThis.forFigures;
const view = { measure: 0, correction: 0, two: 0, state: "best", form: "chart" };
const blocks = {}; // Uint16Array by block, loaded when needed; null where it isn't there
let printing = false;

const two = () => meta.twos[view.two];
const sides = () => two().grids.map((g) => meta.grids[g]);
const language = (i) => meta.languages[i].name;
// Name of a scoring, as tables have it; some measures, and the baseline, have no correction.
const scoringOf = (measure, correction) =>
  correction === "none" || !meta.measures.find(({ key }) => key === measure)?.corrected
    ? measure
    : `${measure}+${correction}`;
const scoring = () => scoringOf(meta.measures[view.measure].key, meta.corrections[view.correction].key);
function scoringName() {
  const { key, label } = meta.corrections[view.correction];
  return meta.measures[view.measure].label + (key === "none" ? "" : `, ${label}`);
}
const number = (value) => value ?? NaN;
const points = (value) => `${value < 0 ? "−" : "+"}${(100 * Math.abs(value)).toFixed(1)}`;

// Values of a column of the means of a grid along its states; none where the grid lacks the scoring.
function meansOf(grid, name, column) {
  const k = meta.ends.means.indexOf(column);
  return grid.means[name]?.map((row) => number(row[k])) ?? [];
}
// Values of a column of the differences along the states that both have; the last one is at the best states.
function differencesOf(column) {
  const k = meta.ends.differences.indexOf(column);
  return two().means[scoring()]?.map((row) => number(row[k])) ?? [];
}

// Contrasts at the best states are in the page, those of all states in a script beside it.
async function load() {
  const v = two().scorings.indexOf(scoring()), id = `${view.two}-${v}`, inside = view.state === "best";
  if (v < 0) return undefined;
  const key = inside ? `best-${id}` : `${id}.js`, packed = inside ? "" : await bring(meta.folder, key);
  const numbers = async (found) => new Uint16Array(await found.arrayBuffer());
  blocks[key] ??= inside ? await numbers(unpacked(key)) : packed && await numbers(inflated(packed));
  return blocks[key];
}
// Rows of the table of contrasts: both directions of every pair, as far as they are known; null where their
// script isn't there.
async function contrasts() {
  const block = await load(), { pairs, n, states } = two(), P = pairs.length;
  if (!block) return block === null ? null : [];
  const inside = view.state === "best", C = inside ? 1 : states.length, rows = [];
  const c = inside ? 0 : states.indexOf(view.state);
  const best = (side, p) => block[meta.planes.length * C * P * 2 + side * P + p];
  for (let p = 0; p < P; p++) {
    const names = sides().map(({ states: own }, side) => inside ? own[best(side, p)] : view.state);
    for (const d of [0, 1]) {
      const [one, other, low, high, q] = meta.planes.map((_, f) => block[((f * C + c) * P + p) * 2 + d]);
      if (one === meta.unknown) continue;
      const [asks, answers] = d ? pairs[p].toReversed() : pairs[p];
      const shares = [one, other].map((count) => count / n[p]), ends = [low, high].map((x) => x / n[p] - 1);
      rows.push({
        asks,
        answers,
        names,
        shares,
        ends,
        gain: shares[0] - shares[1],
        q: q / meta.steps,
        n: n[p],
      });
    }
  }
  return rows;
}
