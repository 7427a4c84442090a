// A card per measure, figures of one pair at the state shown, and the best state of each pair.
function drawCards() {
  const mean = (m, s) => s === null ? 0 : overPairs("recall_at_1", m)[s].mean;
  const highest = Math.max(0.01, ...meta.best.map((s, m) => mean(m, s)));
  const x = (s) => 3 + 67 * s / Math.max(1, S - 1), y = (v) => 41 - 38 * v / highest;
  meta.measures.forEach(({ label }, m) => {
    const best = meta.best[m], d = pathOf(overPairs("recall_at_1", m).map((s) => s.mean), x, y);
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
    const attributes = { class: "card", style: `--series: var(--line-${m})` };
    $("measures").append(node("label", attributes, radio, name, recall, state, spark));
  });
}

function drawDetail() {
  const pair = selected(), { measure: m, state: s } = view;
  const [a, b] = pair ? [view.query, view.candidate].map((i) => meta.languages[i].code) : [];
  const means = [
    P > 1 ? "mean over pairs" : "mean of both",
    FEW ? "lowest to highest" : "middle 80% of them",
  ];
  const heads = pair ? [`${a} → ${b}`, `${b} → ${a}`] : means;
  const rows = Object.entries(FIGURES).map(([figure, name]) => {
    if (!pair) {
      const over = overPairs(figure, m)[s], ends = spread(over).map((end) => written(figure, end));
      return [name, written(figure, over.mean), ends.join(" to ")];
    }
    return [
      name,
      ...[pair.direction, 1 - pair.direction].map((d) => {
        const number = value(figure, m, s, pair.p, d), known = !Number.isNaN(number);
        const ends = figure === "recall_at_1" && known ? ` ${interval(m, s, pair.p, d)}` : "";
        return written(figure, number) + ends;
      }),
    ];
  });
  const n = pair ? meta.n[pair.p] : 0;
  if (n) rows.push(["n, chance of R@1", `${n}, ${percent(1 / n)}`, ""]);
  $("detail").replaceChildren(node("table", {}, ...table(["", ...heads], rows, 1)));
}

let allPairs = false;
function drawBest() {
  const m = view.measure, mean = (s, p) => both("recall_at_1", m, s, p);
  const found = meta.pairs.map((_, p) => {
    const known = meta.states.map((_, s) => s).filter((s) => !Number.isNaN(mean(s, p)));
    const best = known.reduce((best, s) => best < 0 || mean(s, p) > mean(best, p) ? s : best, -1);
    return [p, best, best < 0 ? -1 : mean(best, p)];
  });
  found.sort((a, b) => b[2] - a[2]);
  const rows = found.slice(0, allPairs ? P : 20).map(([p, s]) => {
    const [query, candidate] = meta.pairs[p], n = meta.n[p];
    const pick = node("button", { type: "button" }, `${language(query)} – ${language(candidate)}`);
    pick.addEventListener("click", () => {
      change({ query, candidate, ...(s < 0 ? {} : { state: s }) });
      $("figures").scrollIntoView();
    });
    if (s < 0) return [pick, n ? "not computed yet" : "no sentence in common", String(n), ..."––––"];
    const recall = (d) => `${percent(value("recall_at_1", m, s, p, d))} ${interval(m, s, p, d)}`;
    const mutual = percent(value("mutual_nn", m, s, p, 0));
    return [pick, stateName(s), String(n), percent(1 / n), recall(0), recall(1), mutual];
  });
  const heads = ["Pair, a – b", "Best state", "n", "Chance"];
  heads.push("R@1 a → b [95%]", "R@1 b → a [95%]", "Mutual nearest");
  $("best").replaceChildren(...table(heads, rows, 1));
  $("best-title").textContent = `Best state of each pair, ${meta.measures[m].label}`;
  $("more").hidden = P <= 20;
  $("more").textContent = allPairs ? "Show the first 20" : `Show all ${P.toLocaleString("en")} pairs`;
}
