// A card per measure, figures of one pair at the state shown, and the best state of each pair.
function drawCards() {
  const mean = (m, s) => s === null ? 0 : overPairs("recall_at_1", m)[s].mean;
  const highest = Math.max(0.01, ...meta.measures.map((_, m) => mean(m, bestOf(m))));
  $("measures").querySelectorAll(".card").forEach((card) => card.remove());
  const x = (s) => 3 + 67 * across(s), y = (v) => 41 - 38 * v / highest;
  meta.measures.forEach(({ label }, m) => {
    const best = bestOf(m), d = pathOf(overPairs("recall_at_1", m).map((s) => s.mean), x, y);
    const line = vector("path", { d, fill: "none", "stroke-width": 1.8, style: "stroke: var(--series)" });
    const spark = vector("svg", { viewBox: "0 0 74 44", "aria-hidden": "true" }, line);
    if (best !== null) {
      const place = { cx: x(best), cy: y(mean(m, best)), r: 3 };
      spark.append(vector("circle", { ...place, style: "fill: var(--series)" }));
    }
    const radio = node("input", { type: "radio", name: "measure", value: String(m) });
    radio.addEventListener("change", () => change({ measure: m, ...(best === null ? {} : { state: best }) }));
    const name = node("span", { class: "name" }, label);
    const recall = node("b", {}, best === null ? "–" : percent(mean(m, best)));
    const state = node("small", {}, best === null ? "nothing known" : `state ${stateName(best)}`);
    const attributes = { class: "card", title: terms[label], style: `--series: var(--line-${m % 7})` };
    $("measures").append(node("label", attributes, radio, name, recall, state, spark));
  });
}

function drawDetail() {
  const pair = selected(), { measure: m, state: s } = view;
  const [a, b] = pair ? [view.query, view.candidate].map(language) : [];
  const means = [
    P > 1 ? "mean over pairs" : "mean of both",
    FEW ? "lowest to highest" : "middle 80% of them",
  ];
  const heads = pair ? [`${a} → ${b}`, `${b} → ${a}`] : means;
  const rows = Object.entries(FIGURES).map(([figure, name]) => {
    if (!pair) {
      const over = overPairs(figure, m)[s], ends = spread(over).map((end) => written(figure, end));
      return [term(name), written(figure, over.mean), ends.join(" to ")];
    }
    return [
      term(name),
      ...[pair.direction, 1 - pair.direction].map((d) => {
        const number = value(figure, m, s, pair.p, d), known = !Number.isNaN(number);
        const ends = figure === "recall_at_1" && known ? ` ${interval(m, s, pair.p, d)}` : "";
        return written(figure, number) + ends;
      }),
    ];
  });
  if (meta.baseline >= 0) rows.splice(1, 0, durationRow(pair));
  if (!pair) rows.splice(1, 0, ...meanRows(m, s));
  const n = pair ? meta.n[pair.p] : 0;
  if (n) {
    const ways = [pair.direction, 1 - pair.direction];
    rows.splice(1, 0, [term("q"), ...ways.map((d) => qText(discovery(m, s, pair.p, d)))]);
    rows.push([term("Hub"), ...ways.map((d) => hub(m, s, pair.p, d))]);
    rows.push([term("n"), String(n), ""], [term("Chance"), percent(1 / n), ""]);
  } else if (!pair) rows.push([term("Hub"), worstHub(m, s), ""]);
  $("detail").replaceChildren(node("table", {}, ...globalThis.table(["", ...heads], rows, 1)));
}

// The intervals of the mean R@1, as far as they are known.
function meanRows(m, s) {
  return ["Over sentences", "Over languages"].map((name, over) => {
    const ends = meanEnds(m, s, over);
    return [term(name), "", ends.some(Number.isNaN) ? "–" : ends.map((end) => percent(end)).join(" to ")];
  });
}
// R@1 of duration alone.
function durationRow(pair) {
  const recall = (d) => percent(value("recall_at_1", BASELINE, 0, pair.p, d));
  if (pair) return [term("Duration alone"), recall(pair.direction), recall(1 - pair.direction)];
  const over = overPairs("recall_at_1", BASELINE)[0];
  return [term("Duration alone"), percent(over.mean), spread(over).map((end) => percent(end)).join(" to ")];
}
// The most frequent first candidate of all pairs.
function worstHub(m, s) {
  let worst = [-1, 0, 0];
  for (let at = 0; at < 2 * P; at++) {
    const queries = stored("hub_queries", m, s, at >> 1, at & 1);
    if (queries > worst[0]) worst = [queries, at >> 1, at & 1];
  }
  const [queries, p, d] = worst;
  if (queries < 0) return "–";
  return `${wayOf(p, d)}: ${hub(m, s, p, d)}`;
}

// Sentences about the first state above duration alone, and what that says of the state shown.
function drawOnset() {
  $("onset").textContent = meta.baseline < 0 ? "" : selected() ? onsetOfPair(selected()) : onsetOfAll();
}
// 1 if the state shown exceeds duration alone, 0 if it doesn't, be it before or after the onset.
const isAbove = (p, d) => stored("above", view.measure, view.state, p, d);
const onsetState = (s) => s === S ? "none" : stateName(s);
const SHORT = "(q of 0.05 or more)";
function onsetOfPair({ p, direction }) {
  const now = `; state ${stateName(view.state)} doesn't exceed it ${SHORT}: no more than length is shown`;
  return [direction, 1 - direction].map((d) => {
    const [first, low, high] = onset(p, d), way = `${wayOf(p, d)}: `;
    if (Number.isNaN(first)) return `${way}not all states are computed, so no onset is known.`;
    const ends = `95% interval ${onsetState(low)} to ${onsetState(high)}`;
    if (first === S) {
      return `${way}R@1 exceeds that of duration alone at no state (q < 0.05; ${ends}): ` +
        "no more than length is shown.";
    }
    const here = isAbove(p, d) === 0 ? now : "";
    return `${way}R@1 first exceeds that of duration alone at state ${stateName(first)} (${ends})${here}.`;
  }).join("\n");
}
function onsetOfAll() {
  const known = [];
  for (let at = 0; at < 2 * P; at++) known.push(onset(at >> 1, at & 1)[0]);
  const found = known.filter((s) => s < S).sort((a, b) => a - b), none = known.filter((s) => s === S).length;
  const directions = (count) => `${count.toLocaleString("en")} direction${count === 1 ? "" : "s"}`;
  const never = none ? ` ${directions(none)} exceed it at no state: no more than length is shown there.` : "";
  if (!found.length) {
    return none ? `R@1 exceeds that of duration alone at no state: no more than length is shown.` : "";
  }
  const name = (share) => stateName(found[Math.floor(share * (found.length - 1))]);
  const ends = `median of ${directions(found.length)}; earliest ${name(0)}, latest ${name(1)}`;
  const first = `R@1 first exceeds that of duration alone at state ${name(0.5)} (${ends}).${never}`;
  const below = known.filter((_, at) => isAbove(at >> 1, at & 1) === 0).length, where = directions(below);
  const now = ` State ${stateName(view.state)} doesn't exceed it in ${where} ${SHORT}: `;
  return below ? `${first}${now}no more than length is shown there.` : first;
}

// Columns of the table of best states, of rows { p, s, recall }: s is -1 where nothing is known.
function bestColumns() {
  const m = view.measure, known = (number) => (row) => row.s < 0 ? NaN : number(row);
  const figure = (name, d) => known(({ p, s }) => value(name, m, s, p, d));
  const recall = (d) => {
    const head = d ? "R@1 b → a" : "R@1 a → b", ends = ["ci_low", "ci_high"];
    const text = ({ p, s }) => `${percent(value("recall_at_1", m, s, p, d))} ${interval(m, s, p, d)}`;
    const hidden = ends.map((end) => ({ head: `${head}, ${end}`, value: figure(end, d), hidden: true }));
    return [
      { head, text, value: figure("recall_at_1", d), number: true, title: terms["R@1"] },
      ...hidden,
    ];
  };
  const above = (d) => ({
    head: d ? "Onset b → a" : "Onset a → b",
    value: ({ p }) => onset(p, d)[0],
    text: ({ p }) => Number.isNaN(onset(p, d)[0]) ? "–" : onsetState(onset(p, d)[0]),
    number: true,
    title: terms.Onset,
  });
  const share = { number: true, text: (_, number) => percent(number) };
  return [
    { head: "Pair, a – b", value: ({ p }) => meta.pairs[p].map(language).join(" – ") },
    { head: "Best state", value: known(({ s }) => s), text: ({ s }) => stateName(s), number: true },
    { head: "n", value: ({ p }) => meta.n[p], number: true },
    { ...share, head: "Chance", value: ({ p }) => 1 / meta.n[p] },
    ...recall(0),
    ...recall(1),
    { ...share, head: "Held out", value: ({ p }) => (heldOut(p, 0) + heldOut(p, 1)) / 2 },
    { ...share, head: "Mutual nearest", value: figure("mutual_nn", 0) },
    above(0),
    above(1),
  ].map((column) => ({ title: terms[column.head], ...column }));
}
function bestRow(columns, row) {
  const [query, candidate] = meta.pairs[row.p];
  const pick = node("button", { type: "button" }, columns[0].value(row));
  pick.addEventListener("click", () => {
    change({ query, candidate, ...(row.s < 0 ? {} : { state: row.s }) });
    $("figures").scrollIntoView();
  });
  const unknown = meta.n[row.p] ? "not computed yet" : "no sentence in common";
  const cells = columns.slice(1).filter(({ hidden }) => !hidden).map(({ head, value, text }) => {
    const number = value(row);
    const written = row.s < 0 && head === "Best state"
      ? unknown
      : Number.isNaN(number) || number === Infinity
      ? "–"
      : text
      ? text(row, number)
      : String(number);
    return node("td", { class: "number" }, written);
  });
  return node("tr", {}, node("th", { scope: "row" }, pick), ...cells);
}
function drawBest() {
  const m = view.measure, mean = (s, p) => both("recall_at_1", m, s, p);
  const rows = meta.pairs.map((_, p) => {
    const known = meta.states.map((_, s) => s).filter((s) => !Number.isNaN(mean(s, p)));
    const s = known.reduce((best, s) => best < 0 || mean(s, p) > mean(best, p) ? s : best, -1);
    return { p, s, recall: s < 0 ? -1 : mean(s, p) };
  });
  rows.sort((a, b) => b.recall - a.recall);
  const columns = bestColumns(), words = ({ p }) => meta.pairs[p].map(about).join(" ");
  const q = ({ p, s }) => s < 0 ? NaN : Math.max(...[0, 1].map((d) => discovery(m, s, p, d)));
  tables.best = { columns, rows, words, q, make: (row) => bestRow(columns, row) };
  $("best-title").textContent = `Best state of each pair, ${scoringName()}`;
  drawSorted("best");
}
// The map as a table: a row for each direction at the state shown.
function drawCells() {
  const { measure: m, state: s } = view, rows = [];
  for (const query of orderNow()) {
    for (const candidate of orderNow()) {
      const { p, direction, value: number } = cell(query, candidate);
      if (p !== undefined) rows.push({ query, candidate, p, direction, number });
    }
  }
  const q = ({ p, direction }) => discovery(m, s, p, direction);
  const known = (text) => (_, number) => Number.isNaN(number) ? "–" : text(number);
  const columns = [
    { head: "Asks", value: ({ query }) => language(query), title: terms.asks },
    { head: "Answers", value: ({ candidate }) => language(candidate), title: terms.answers },
    { head: FIGURES[view.figure], value: ({ number }) => number, text: known(shown), number: true },
    { head: "q of R@1", value: q, text: known(qText), number: true, title: terms.q },
    { head: "n", value: ({ p }) => meta.n[p], text: (_, n) => String(n), number: true, title: terms.n },
  ];
  const words = ({ query, candidate }) => [query, candidate].map(about).join(" ");
  const make = (row) => {
    const pick = node("button", { type: "button" }, language(row.query));
    pick.addEventListener("click", () => change({ query: row.query, candidate: row.candidate }));
    const cells = columns.slice(1).map(({ value, text, number }) =>
      node("td", number ? { class: "number" } : {}, text ? text(row, value(row)) : value(row))
    );
    return node("tr", {}, node("th", { scope: "row" }, pick), ...cells);
  };
  tables.cells = { columns, rows, words, q, make };
  drawSorted("cells");
}
// Takes over the table of coverage as it is in the page.
function readCoverage() {
  const heads = [...$("coverage").tHead.rows[0].cells], rows = [...$("coverage").tBodies[0].rows];
  const columns = heads.map((head, k) => {
    const read = (row) => (row.cells[k].querySelector("summary") ?? row.cells[k]).textContent.trim();
    const value = (row) => {
      const text = read(row).replaceAll(",", "");
      return k < 3 ? text : text === "none" ? 0 : Number(text); // NaN of other words
    };
    const left = !head.classList.contains("number");
    return { head: head.textContent, value, number: k >= 3, left, title: terms[head.textContent] };
  });
  tables.coverage = { columns, rows, words: (row) => row.textContent, make: (row) => row };
}
