// Data of the page: blocks, what is chosen, and the list of sentence pairs.
const ROW = 50; // pixels of a row of the list
const MUTUAL = 1, TRANSPORT = 2;
const view = { set: 0, kind: "mutual", order: "score", search: "", wrong: false, at: -1 };
const blocks = new Map(); // promise of a block's content, by its id
let sentences = []; // of the set shown
let listed = []; // indices into `sentences`, in the order of the list

const figure = (value, digits = 3) => value === null || Number.isNaN(value) ? "–" : value.toFixed(digits);

function block(id) {
  if (!blocks.has(id)) blocks.set(id, unpacked(id).json());
  return blocks.get(id);
}

// Sentence pairs of a set as objects; word pairs as arrays of equal length.
async function load(s) {
  const { a, b } = meta.sets[s], ids = [`set-${s}`, `words-${a}`, `words-${b}`];
  const [rows, wordsA, wordsB] = await Promise.all(ids.map(block));
  const parts = (values, steps) => values.map((x) => x === null ? NaN : x / steps), fine = 10 * meta.steps;
  return rows.map((row) => {
    const a = side(wordsA[row.utterance_a]), b = side(wordsB[row.utterance_b]);
    return {
      ...{ sentenceA: row.query, sentenceB: row.candidate, gold: row.gold === 1, a, b },
      ...{ flags: row.flags, alike: row.alike, gap: row.share_gap / fine },
      scores: parts([row.score, row.precision, row.recall], fine),
      ia: row.index_a.map((number) => a.place.get(number) ?? -1), // -1: frames of no word
      ib: row.index_b.map((number) => b.place.get(number) ?? -1),
      similarity: parts(row.similarity, meta.steps),
      share: parts(row.share, fine),
      transport: parts(row.transport, fine),
      meaning: parts(row.meaning, meta.steps),
      sound: parts(row.sound_distance, meta.steps).map((x) => 1 - x),
      text: [row.query, row.candidate, ...a.texts, ...b.texts].join(" ").toLowerCase(),
    };
  });
}
// Words of one utterance; `place` is where a word of the transcription is among them.
function side([texts, index, start, end] = [[], [], [], []]) {
  return { texts, start, end, place: new Map(index.map((number, i) => [number, i])) };
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
    const row = node("div", {
      class: "row",
      role: "option",
      id: `row-${i}`,
      "aria-selected": String(i === view.at),
      "aria-setsize": listed.length,
      "aria-posinset": place + 1,
      style: `top: ${place * ROW}px`,
    });
    const count = lines(pair).length, wrong = pair.gold ? "" : " wrong";
    row.append(
      node("span", { dir: "auto" }, pair.a.texts.join(" ") || pair.sentenceA),
      node("b", {}, figure(pair.scores[0])),
      node(
        "small",
        { class: wrong, dir: "auto" },
        pair.gold ? pair.b.texts.join(" ") : `wrong: ${pair.b.texts.join(" ")}`,
      ),
      node("small", {}, view.kind === "share" ? "" : `${count} match${count === 1 ? "" : "es"}`),
    );
    row.addEventListener("click", () => select(i));
    made.push(row);
  }
  rows.replaceChildren(...made);
  if (view.at >= 0) list.setAttribute("aria-activedescendant", `row-${view.at}`);
  const { a, b } = meta.sets[view.set];
  const some = listed.length === sentences.length ? "" : ` of ${sentences.length.toLocaleString("en")}`;
  $("list-title").textContent = `${listed.length.toLocaleString("en")}${some} sentence pairs, ${
    meta.names[a]
  } – ${meta.names[b]}`;
}
function reveal() {
  const place = listed.indexOf(view.at), list = $("list");
  if (place < 0) return;
  if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
  if ((place + 1) * ROW > list.scrollTop + list.clientHeight) {
    list.scrollTop = (place + 1) * ROW - list.clientHeight;
  }
}
