// Data of the page: blocks, what is chosen, and the list of sentence pairs.
const ROW = 50; // pixels of a row of the list
const MUTUAL = 1, TRANSPORT = 2;
const view = { set: 0, kind: "mutual", order: "score", search: "", wrong: false, at: -1 };
const blocks = new Map(); // promise of a block's content, by its id
let sentences = []; // of the set shown
let listed = []; // indices into `sentences`, in the order of the list

const figure = (value, digits = 3) => value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);
const percent = (value) => `${(100 * value).toFixed(1)}%`;

function block(id) {
  if (!blocks.has(id)) blocks.set(id, unpacked(id).json());
  return blocks.get(id);
}

// Sentence pairs of a set as objects; word pairs as arrays of equal length.
async function load(s) {
  const { a, b } = meta.sets[s];
  const [rows, wordsA, wordsB] = await Promise.all([block(`set-${s}`), block(`words-${a}`), block(`words-${b}`)]);
  const none = [[], [], [], []], part = (steps) => (x) => x === null ? NaN : x / steps;
  return rows.map(([sentenceA, sentenceB, utteranceA, utteranceB, gold, f1, precision, recall, gap, ia, ib, flags, similarity, share, transport, meaning, distance, alike]) => {
    const side = ([texts, index, start, end]) => ({ texts, start, end, place: new Map(index.map((number, i) => [number, i])) });
    const [a, b] = [side(wordsA[utteranceA] ?? none), side(wordsB[utteranceB] ?? none)];
    const pair = {
      sentenceA, sentenceB, utteranceA, utteranceB, gold: gold === 1,
      scores: [f1, precision, recall].map(part(10 * meta.steps)),
      gap: gap / (10 * meta.steps), a, b, flags, alike,
      ia: ia.map((number) => a.place.get(number) ?? -1), ib: ib.map((number) => b.place.get(number) ?? -1), // -1: frames of no word
      similarity: similarity.map(part(meta.steps)), share: share.map(part(10 * meta.steps)), transport: transport.map(part(10 * meta.steps)),
      meaning: meaning.map(part(meta.steps)), sound: distance.map((x) => x === null ? NaN : 1 - x / meta.steps),
    };
    pair.text = [sentenceA, sentenceB, ...pair.a.texts, ...pair.b.texts].join(" ").toLowerCase();
    return pair;
  });
}
// Indices of the word pairs that lines are drawn for.
function lines(pair, kind = view.kind) {
  const all = pair.ia.map((_, k) => k).filter((k) => pair.ia[k] >= 0 && pair.ib[k] >= 0);
  if (kind === "share") return all.filter((k) => pair.share[k] > 0);
  return all.filter((k) => pair.flags[k] & (kind === "mutual" ? MUTUAL : TRANSPORT));
}
function mean(values) {
  const known = values.filter((x) => !Number.isNaN(x));
  return known.length ? known.reduce((sum, x) => sum + x, 0) / known.length : NaN;
}

const ORDERS = {
  score: (pair) => pair.scores[0],
  low: (pair) => -pair.scores[0],
  meaning: (pair) => mean(lines(pair).map((k) => pair.meaning[k])),
  sound: (pair) => mean(lines(pair).map((k) => pair.sound[k])),
  count: (pair) => lines(pair).length,
  given: () => 0,
};
function arrange() {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean), key = ORDERS[view.order];
  const keyed = [];
  sentences.forEach((pair, i) => {
    if (view.wrong && pair.gold || !words.every((word) => pair.text.includes(word))) return;
    const value = key(pair);
    keyed.push([Number.isNaN(value) ? -Infinity : value, i]);
  });
  keyed.sort((x, y) => y[0] - x[0] || x[1] - y[1]);
  listed = keyed.map(([, i]) => i);
  if (!listed.includes(view.at)) view.at = listed[0] ?? -1;
}

// Only the rows in sight are in the document, so that thousands of sentence pairs scroll as ten do.
function drawList() {
  const list = $("list"), rows = $("rows");
  rows.style.height = `${listed.length * ROW}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  const made = [];
  for (let place = first; place < last; place++) {
    const i = listed[place], pair = sentences[i];
    const row = node("div", { class: "row", role: "option", id: `row-${i}`, "aria-selected": String(i === view.at), "aria-setsize": listed.length, "aria-posinset": place + 1, style: `top: ${place * ROW}px` });
    const count = lines(pair).length, wrong = pair.gold ? "" : " wrong";
    row.append(
      node("span", { dir: "auto" }, pair.a.texts.join(" ") || pair.sentenceA), node("b", {}, figure(pair.scores[0])),
      node("small", { class: wrong, dir: "auto" }, pair.gold ? pair.b.texts.join(" ") : `wrong: ${pair.b.texts.join(" ")}`), node("small", {}, view.kind === "share" ? "" : `${count} match${count === 1 ? "" : "es"}`));
    row.addEventListener("click", () => select(i));
    made.push(row);
  }
  rows.replaceChildren(...made);
  if (view.at >= 0) list.setAttribute("aria-activedescendant", `row-${view.at}`);
  const { a, b } = meta.sets[view.set];
  const some = listed.length === sentences.length ? "" : ` of ${sentences.length.toLocaleString("en")}`;
  $("list-title").textContent = `${listed.length.toLocaleString("en")}${some} sentence pairs, ${meta.names[a]} – ${meta.names[b]}`;
}
function reveal() {
  const place = listed.indexOf(view.at), list = $("list");
  if (place < 0) return;
  if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
  if ((place + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * ROW - list.clientHeight;
}
