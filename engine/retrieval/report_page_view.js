// Curves along the states, tables, pointer and keyboard, controls, and the start.
function series() {
  const { measure, figure } = view, pair = selected();
  return meta.measures.map(({ label }, m) => {
    const lines = [];
    if (pair && m === measure) {
      for (const d of [pair.direction, 1 - pair.direction]) {
        const along = (f) => meta.states.map((_, s) => value(f, m, s, pair.p, d));
        const band = figure === "recall_at_1" ? [along("ci_low"), along("ci_high")] : null;
        lines.push({ values: along(figure), band, dash: d === pair.direction ? "" : "6 4" });
      }
    } else if (pair) lines.push({ values: meta.states.map((_, s) => both(figure, m, s, pair.p)) });
    else {
      const states = overPairs(figure, m), main = m === measure;
      const ends = main && !FEW && states.map(spread), band = ends && [0, 1].map((end) => ends.map((pair) => pair[end]));
      lines.push({ values: states.map((s) => s.mean), band });
      if (main && FEW) for (let p = 0; p < P; p++) for (const d of [0, 1]) {
        lines.push({ values: meta.states.map((_, s) => value(figure, m, s, p, d)), faint: true, dash: d ? "6 4" : "" });
      }
    }
    return { label, m, lines };
  });
}
function selected() {
  const at = view.query < 0 ? -1 : pairAt[view.query * L + view.candidate];
  return at < 0 ? null : { p: at >> 1, direction: at & 1 };
}

function drawCurve() {
  const pair = selected(), all = series();
  const width = printing ? 600 : Math.max(300, $("curve").clientWidth), height = Math.max(250, Math.min(380, width * 0.56));
  const frame = { left: 42, right: 112, top: 12, bottom: 40 };
  const seen = all.flatMap(({ lines }) => lines.flatMap(({ values, band }) => [...values, ...(band ? band[1] : [])])).filter((x) => !Number.isNaN(x));
  const highest = Math.max(0.1, Math.ceil(Math.max(0, ...seen) * 10 - 1e-9) / 10);
  const x = (s) => frame.left + (S > 1 ? s / (S - 1) : 0.5) * (width - frame.left - frame.right);
  const y = (v) => height - frame.bottom - v / highest * (height - frame.top - frame.bottom);
  const svg = vector("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": $("curve-title").textContent });
  const step = highest > 0.5 ? 0.2 : highest > 0.2 ? 0.1 : 0.05;
  for (let v = 0; v <= highest + 1e-9; v += step) {
    svg.append(vector("line", { x1: frame.left, x2: width - frame.right, y1: y(v), y2: y(v), stroke: css("--rule") }));
    svg.append(vector("text", { x: frame.left - 8, y: y(v) + 4, "text-anchor": "end" }, view.figure === "mrr" ? v.toFixed(2) : percent(v, 0)));
  }
  const every = Math.ceil(S / Math.max(4, Math.floor((width - frame.left - frame.right) / 30)));
  meta.states.forEach((name, s) => {
    if (s !== S - 1 && (s % every || s + 1.4 * every > S - 1 && every > 1)) return;
    svg.append(vector("text", { x: x(s), y: height - frame.bottom + 18, "text-anchor": "middle" }, name));
  });
  svg.append(vector("text", { x: (frame.left + width - frame.right) / 2, y: height - 4, "text-anchor": "middle" }, "encoder state"));
  svg.append(vector("line", { x1: x(view.state), x2: x(view.state), y1: frame.top, y2: y(0), stroke: css("--muted"), "stroke-dasharray": "2 3" }));
  const n = pair ? meta.n[pair.p] : typicalN, ends = [];
  if (n) {
    const guess = chance(view.figure, n);
    svg.append(vector("line", { x1: frame.left, x2: width - frame.right, y1: y(guess), y2: y(guess), stroke: css("--chance"), "stroke-dasharray": "1 3", "stroke-width": 1.6 }));
    ends.push({ at: y(guess), text: "chance", color: "--chance" });
  }
  for (const { label, m, lines } of [...all].sort((a, b) => (a.m === view.measure) - (b.m === view.measure))) {
    for (const line of lines) drawLine(svg, line, m, x, y);
    const last = lines[0].values.findLast((v) => !Number.isNaN(v));
    if (last !== undefined) ends.push({ at: y(last), text: label, color: `--line-${m}`, bold: m === view.measure });
  }
  ends.sort((a, b) => a.at - b.at);
  for (let i = ends.length - 1, floor = height - frame.bottom + 6; i >= 0; i--) floor = (ends[i].at = Math.min(ends[i].at, floor)) - 15;
  for (const { at, text, color, bold } of ends) svg.append(vector("text", { x: width - frame.right + 8, y: at + 4, class: bold ? "end" : "", style: `fill: var(${color})` }, text));
  const nearest = (event) => {
    const box = svg.getBoundingClientRect(), s = (event.clientX - box.left) / box.width * width;
    return Math.max(0, Math.min(S - 1, Math.round((s - frame.left) / (width - frame.left - frame.right) * (S - 1))));
  };
  svg.addEventListener("click", (event) => change({ state: nearest(event) }));
  svg.addEventListener("pointermove", (event) => {
    const s = nearest(event);
    const rows = all.map(({ label, lines }) => [label, lines.filter(({ faint }) => !faint).map(({ values }) => shown(values[s])).join(" / ")]);
    tip(event.clientX, event.clientY, `state ${stateName(s)}`, rows);
  });
  svg.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  $("curve").replaceChildren(svg);
}
function drawLine(svg, { values, band, dash, faint }, m, x, y) {
  const main = m === view.measure && !faint, known = values.map((v, s) => [v, s]).filter(([v]) => !Number.isNaN(v));
  if (band && known.length > 1) {
    const edge = (end, list) => list.map(([, s]) => `${x(s)},${y(end[s])}`);
    const points = [...edge(band[1], known), ...edge(band[0], [...known].reverse())].join(" ");
    svg.append(vector("polygon", { points, fill: css(`--line-${m}`), opacity: 0.16 }));
  }
  const path = values.map((v, s) => Number.isNaN(v) ? "" : `${s && !Number.isNaN(values[s - 1]) ? "L" : "M"}${x(s).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  svg.append(vector("path", { d: path, fill: "none", stroke: css(`--line-${m}`), "stroke-width": main ? 2.6 : 1.4, "stroke-dasharray": dash || "none", "stroke-linejoin": "round", opacity: faint ? 0.5 : 1 }));
  if (main && !Number.isNaN(values[view.state])) svg.append(vector("circle", { cx: x(view.state), cy: y(values[view.state]), r: 4, fill: css(`--line-${m}`), stroke: css("--surface"), "stroke-width": 1.5 }));
}

// Figures of one pair, or means, at the state shown.
function drawDetail() {
  const pair = selected(), { measure, state } = view;
  const [a, b] = pair ? [view.query, view.candidate] : [];
  const heads = pair ? ["", `${meta.languages[a].code} → ${meta.languages[b].code}`, `${meta.languages[b].code} → ${meta.languages[a].code}`] : ["", P > 1 ? "mean over pairs" : "mean of both", FEW ? "lowest to highest" : "middle 80% of them"];
  const rows = Object.entries(FIGURES).map(([figure, name]) => {
    const text = (v) => figure === "mrr" ? (Number.isNaN(v) ? "–" : v.toFixed(3)) : percent(v);
    if (!pair) {
      const over = overPairs(figure, measure)[state];
      return [name, text(over.mean), spread(over).map(text).join(" to ")];
    }
    return [name, ...[pair.direction, 1 - pair.direction].map((d) => {
      const got = (f) => value(f, measure, state, pair.p, d), v = got(figure);
      return figure === "recall_at_1" && !Number.isNaN(v) ? `${text(v)} [${(100 * got("ci_low")).toFixed(1)}, ${(100 * got("ci_high")).toFixed(1)}]` : text(v);
    })];
  });
  if (pair && meta.n[pair.p]) rows.push(["n, chance of R@1", `${meta.n[pair.p]}, ${percent(1 / meta.n[pair.p])}`, ""]);
  $("detail").replaceChildren(table(heads, rows, 1));
}
function table(heads, rows, numbers) {
  const kind = (k) => k >= numbers ? { class: "number" } : {};
  const row = (texts) => node("tr", {}, ...texts.map((text, k) => k ? node("td", kind(k), text) : node("th", { scope: "row" }, text)));
  return node("table", {}, node("thead", {}, node("tr", {}, ...heads.map((text, k) => node("th", { scope: "col", ...kind(k) }, text)))), node("tbody", {}, ...rows.map(row)));
}

let allPairs = false;
function drawBest() {
  const m = view.measure, found = [];
  for (let p = 0; p < P; p++) {
    let best = -1;
    for (let s = 0; s < S; s++) if (!(both("recall_at_1", m, s, p) <= (best < 0 ? -1 : both("recall_at_1", m, best, p)))) if (!Number.isNaN(both("recall_at_1", m, s, p))) best = s;
    found.push([p, best, best < 0 ? -1 : both("recall_at_1", m, best, p)]);
  }
  found.sort((a, b) => b[2] - a[2]);
  const most = allPairs ? P : 20;
  const rows = found.slice(0, most).map(([p, s]) => {
    const [a, b] = meta.pairs[p];
    const pick = node("button", { type: "button" }, `${language(a)} – ${language(b)}`);
    pick.addEventListener("click", () => { change({ query: a, candidate: b, ...(s < 0 ? {} : { state: s }) }); $("figures").scrollIntoView(); });
    if (s < 0) return [pick, meta.n[p] ? "not computed yet" : "no sentence in common", String(meta.n[p]), "–", "–", "–", "–"];
    const interval = (d) => `${percent(value("recall_at_1", m, s, p, d))} [${["ci_low", "ci_high"].map((f) => (100 * value(f, m, s, p, d)).toFixed(1)).join(", ")}]`;
    return [pick, stateName(s), String(meta.n[p]), percent(1 / meta.n[p]), interval(0), interval(1), percent(value("mutual_nn", m, s, p, 0))];
  });
  const made = table(["Pair, a – b", "Best state", "n", "Chance", "R@1 a → b [95%]", "R@1 b → a [95%]", "Mutual nearest"], rows, 1);
  $("best").replaceChildren(...made.childNodes);
  $("best-title").textContent = `Best state of each pair, ${meta.measures[m].label}`;
  $("more").hidden = P <= 20;
  $("more").textContent = allPairs ? "Show the first 20" : `Show all ${P.toLocaleString("en")} pairs`;
}

function tip(x, y, title, rows, note) {
  const list = node("dl", {}, ...rows.flatMap(([name, text]) => [node("dt", {}, name), node("dd", {}, text)]));
  $("tip").replaceChildren(node("strong", {}, title), ...(note ? [note] : []), ...(rows.length ? [list] : []));
  $("tip").hidden = false;
  const box = $("tip").getBoundingClientRect();
  $("tip").style.left = `${Math.max(4, x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16)}px`;
  $("tip").style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 6))}px`;
}
function describe(query, candidate) {
  const { p, direction, reason } = cell(query, candidate), title = `${language(query)} → ${language(candidate)}`;
  if (query === candidate) return [language(query), [], "a language isn't compared with itself"];
  if (p === undefined || reason) return [title, p === undefined ? [] : [["n", String(meta.n[p])]], reason];
  const rows = Object.entries(FIGURES).map(([figure, name]) => {
    const v = value(figure, view.measure, view.state, p, direction);
    return [name, figure === "mrr" ? v.toFixed(3) : percent(v)];
  });
  const ends = ["ci_low", "ci_high"].map((f) => percent(value(f, view.measure, view.state, p, direction)));
  const hits = Math.round(value("recall_at_1", view.measure, view.state, p, direction) * meta.n[p]);
  rows.splice(1, 0, ["95% interval", ends.join(" to ")]);
  rows.push(["n", String(meta.n[p])], ["chance of R@1", percent(1 / meta.n[p])]);
  return [title, rows, `${hits} of ${meta.n[p]} first, ${meta.measures[view.measure].label}, state ${stateName(view.state)}`];
}
function point(row, column, x, y, spoken) {
  const { order, cell: side, left, top: above } = map;
  cursor = [row, column];
  const [title, rows, note] = describe(order[row], order[column]);
  const box = canvas.getBoundingClientRect();
  tip(x ?? box.left + left + (column + 1) * side, y ?? box.top + above + (row + 1) * side, title, rows, note);
  const places = [[0, above + row * side - 1, left + L * side, side], [left + column * side - 1, 0, side, above + L * side]];
  bands.forEach((band, k) => {
    const [l, t, w, h] = places[k];
    band.style.cssText = `display: block; left: ${l}px; top: ${t}px; width: ${w}px; height: ${h}px; border-width: ${k ? "0 1px" : "1px 0"}`;
  });
  if (spoken) $("live").textContent = [title, note, ...rows.map((pair) => pair.join(" "))].join(", ");
}
function unpoint() {
  $("tip").hidden = true;
  bands.forEach((band) => { band.style.display = "none"; });
}
function at(event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - map.left) / map.cell), row = Math.floor((event.clientY - box.top - map.top) / map.cell);
  return row >= 0 && row < L && column >= 0 && column < L ? [row, column] : null;
}
function select(row, column) {
  const query = map.order[row], candidate = map.order[column];
  if (query !== candidate && pairAt[query * L + candidate] >= 0) change({ query, candidate });
}
canvas.addEventListener("pointermove", (event) => { const hit = at(event); if (hit) point(...hit, event.clientX, event.clientY); else unpoint(); });
canvas.addEventListener("pointerleave", unpoint);
canvas.addEventListener("click", (event) => { const hit = at(event); if (hit) select(...hit); });
canvas.addEventListener("blur", unpoint);
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (event.key === "Escape") { unpoint(); change({ query: -1, candidate: -1 }); }
  else if (event.key === "Enter" && cursor) select(...cursor);
  else if (move) {
    const to = cursor ? cursor.map((k, i) => Math.max(0, Math.min(L - 1, k + move[i]))) : [0, Math.min(1, L - 1)];
    point(...to, undefined, undefined, true);
  } else return;
  event.preventDefault();
});

function drawCards() {
  const highest = Math.max(0.01, ...meta.best.map((s, m) => s === null ? 0 : overPairs("recall_at_1", m)[s].mean));
  meta.measures.forEach(({ label }, m) => {
    const best = meta.best[m], means = overPairs("recall_at_1", m).map((s) => s.mean);
    const path = means.map((v, s) => Number.isNaN(v) ? "" : `${s && !Number.isNaN(means[s - 1]) ? "L" : "M"}${3 + 67 * s / Math.max(1, S - 1)} ${41 - 38 * v / highest}`).join("");
    const spark = vector("svg", { viewBox: "0 0 74 44", "aria-hidden": "true" }, vector("path", { d: path, fill: "none", "stroke-width": 1.8, style: "stroke: var(--series)" }));
    if (best !== null) spark.append(vector("circle", { cx: 3 + 67 * best / Math.max(1, S - 1), cy: 41 - 38 * means[best] / highest, r: 3, style: "fill: var(--series)" }));
    const radio = node("input", { type: "radio", name: "measure", value: String(m) });
    radio.addEventListener("change", () => change({ measure: m, ...(best === null ? {} : { state: best }) }));
    $("measures").append(node("label", { class: "card", style: `--series: var(--line-${m})` }, radio, node("span", { class: "name" }, label), node("b", {}, best === null ? "–" : percent(means[best])), node("small", {}, best === null ? "nothing known" : `state ${stateName(best)}`), spark));
  });
}

function draw() {
  const { measure, state, figure } = view, pair = selected(), mean = P > 1 ? `mean of ${P.toLocaleString("en")} pairs` : "both directions";
  $("state").value = state;
  $("state").setAttribute("aria-valuetext", `state ${stateName(state)}`);
  $("state-name").textContent = stateName(state);
  for (const id of ["figure", "view", "order"]) $(id).value = view[id];
  for (const id of ["query", "candidate"]) $(id).value = view[id];
  document.querySelectorAll("#measures input").forEach((radio, m) => { radio.checked = m === measure; });
  $("map-title").textContent = `${FIGURES[figure]} of ${meta.measures[measure].label}, state ${stateName(state)}`;
  $("curve-title").textContent = `${FIGURES[figure]} along the states, ${pair ? `${language(view.query)} → ${language(view.candidate)} (dashed: back)` : mean}`;
  const label = `${$("map-title").textContent}: ${L} languages as queries in rows and as candidates in columns`;
  canvas.setAttribute("aria-label", label);
  drawMap(); drawCurve(); drawDetail();
}
function change(some) {
  const measure = view.measure;
  Object.assign(view, some);
  draw();
  if (view.measure !== measure) drawBest();
  const words = new URLSearchParams({ measure: meta.measures[view.measure].key, state: stateName(view.state), figure: view.figure, order: view.order, view: view.view });
  if (selected()) words.set("pair", `${meta.languages[view.query].code},${meta.languages[view.candidate].code}`);
  history.replaceState(null, "", `#${words}`);
}
// The address names what is shown, so that it can be passed on.
function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1)), place = (list, word) => list.indexOf(word);
  const measure = place(meta.measures.map((m) => m.key), words.get("measure"));
  view.measure = Math.max(0, measure);
  const state = place(meta.states, words.get("state"));
  view.state = state >= 0 ? state : meta.best[view.measure] ?? S - 1;
  if (words.get("figure") in FIGURES) view.figure = words.get("figure");
  if (words.get("order") === "cluster") view.order = "cluster";
  if (words.get("view") === "mean") view.view = "mean";
  const [query, candidate] = (words.get("pair") ?? "").split(",").map((code) => place(meta.languages.map((l) => l.code), code));
  if (query >= 0 && candidate >= 0 && pairAt[query * L + candidate] >= 0) Object.assign(view, { query, candidate });
}
function fillControls() {
  $("state").max = S - 1;
  $("figure").append(...Object.entries(FIGURES).map(([key, name]) => node("option", { value: key }, name)));
  for (const id of ["query", "candidate"]) {
    $(id).append(node("option", { value: "-1" }, id === "query" ? "all pairs" : "–"), ...meta.byGroup.map((i) => node("option", { value: String(i) }, language(i))));
    $(id).addEventListener("change", () => pick(id, Number($(id).value)));
  }
  $("state").addEventListener("input", () => change({ state: Number($("state").value) }));
  for (const id of ["figure", "view", "order"]) $(id).addEventListener("change", () => change({ [id]: $(id).value }));
  $("more").addEventListener("click", () => { allPairs = !allPairs; drawBest(); });
}
function pick(id, i) {
  const other = id === "query" ? "candidate" : "query";
  if (i < 0) return change({ query: -1, candidate: -1 });
  const has = (k) => pairAt[id === "query" ? i * L + k : k * L + i] >= 0;
  const partner = view[other] >= 0 && has(view[other]) ? view[other] : meta.byGroup.find(has);
  change({ [id]: i, [other]: partner ?? -1 });
}

function print(on) {
  printing = on;
  document.documentElement.classList.toggle("paper", on);
  draw();
}
async function start() {
  await Promise.all(meta.measures.map((_, m) => unpack(m)));
  document.querySelector("main").hidden = false;
  fillControls(); drawCards(); readAddress(); draw(); drawBest();
  addEventListener("hashchange", () => { readAddress(); draw(); drawBest(); });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}
start().catch((error) => {
  document.querySelector("header").append(node("p", { class: "alert" }, `The figures can't be shown (${error.message}). A browser of 2023 or later is needed; the same numbers are in retrieval.csv.`));
});
