// Pointer and keyboard on the map, controls, the address, and the start.
function describe(query, candidate) {
  const { p, direction, reason } = cell(query, candidate), { measure: m, state: s } = view;
  const title = `${language(query)} → ${language(candidate)}`, n = p === undefined ? 0 : meta.n[p];
  if (query === candidate) return [language(query), [], "a language isn't compared with itself"];
  if (reason) return [title, p === undefined ? [] : [["n", String(n)]], reason];
  const rows = Object.entries(FIGURES).map((
    [key, name],
  ) => [name, written(key, value(key, m, s, p, direction))]);
  const ends = ["ci_low", "ci_high"].map((end) => percent(value(end, m, s, p, direction)));
  rows.splice(1, 0, ["95% interval", ends.join(" to ")], ["q", qText(discovery(m, s, p, direction))]);
  if (meta.baseline >= 0) {
    const not = stored("above", m, s, p, direction) === 0 ? ", not exceeded" : "";
    rows.push(["Duration alone", percent(value("recall_at_1", BASELINE, 0, p, direction)) + not]);
  }
  rows.push(["Chance", percent(1 / n)], ["Hub", hub(m, s, p, direction)]);
  const hits = Math.round(value("recall_at_1", m, s, p, direction) * n);
  return [title, rows, `${hits} of ${n} first, ${scoringName()}, state ${stateName(s)}`];
}
function point(row, column, x, y, spoken) {
  const { order, cell: side, left, top: above } = map,
    across = left + column * side,
    down = above + row * side;
  cursor = [row, column];
  const [title, rows, note] = describe(order[row], order[column]);
  const box = canvas.getBoundingClientRect();
  tip(x ?? box.left + across + side, y ?? box.top + down + side, title, rows, note);
  placeBand(bands[0], [0, down - 1, left + L * side, side], "1px 0");
  placeBand(bands[1], [across - 1, 0, side, above + L * side], "0 1px");
  if (spoken) $("live").textContent = [title, note, ...rows.map((pair) => pair.join(" "))].join(", ");
}
function placeBand(band, [left, top, width, height], borders) {
  const place = `left: ${left}px; top: ${top}px; width: ${width}px; height: ${height}px`;
  band.style.cssText = `display: block; ${place}; border-width: ${borders}`;
}
function unpoint() {
  hideTip();
  bands.forEach((band) => {
    band.style.display = "none";
  });
}
function at(event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - map.left) / map.cell);
  const row = Math.floor((event.clientY - box.top - map.top) / map.cell);
  return row >= 0 && row < L && column >= 0 && column < L ? [row, column] : null;
}
function select(row, column) {
  const query = map.order[row], candidate = map.order[column];
  if (query !== candidate && pairAt[query * L + candidate] >= 0) change({ query, candidate });
}
canvas.addEventListener("pointermove", (event) => {
  const hit = at(event);
  if (hit) point(...hit, event.clientX, event.clientY);
  else unpoint();
});
canvas.addEventListener("pointerleave", unpoint);
canvas.addEventListener("click", (event) => {
  const hit = at(event);
  if (hit) select(...hit);
});
canvas.addEventListener("blur", unpoint);
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (event.key === "Escape") {
    unpoint();
    change({ query: -1, candidate: -1 });
  } else if (event.key === "Enter" && cursor) select(...cursor);
  else if (move) {
    const moved = cursor?.map((k, i) => Math.max(0, Math.min(L - 1, k + move[i])));
    point(...moved ?? [0, Math.min(1, L - 1)], undefined, undefined, true);
  } else return;
  event.preventDefault();
});

function draw() {
  const { measure, state, figure } = view, name = stateName(state);
  const few = P > 1 ? `mean of ${P.toLocaleString("en")} pairs` : "both directions";
  const whose = selected() ? `${language(view.query)} → ${language(view.candidate)} (dashed: back)` : few;
  $("state").value = state;
  $("state").setAttribute("aria-valuetext", `state ${name}`);
  $("state-name").textContent = name;
  for (const id of ["figure", "view", "order", "query", "candidate", "correction", "answers", "form"]) {
    $(id).value = view[id];
  }
  if ($("lines").value !== view.lines) $("lines").value = view.lines;
  $("correction-note").textContent = meta.corrections[view.correction].about;
  document.querySelectorAll("#measures input").forEach((radio, m) => {
    radio.checked = m === measure;
  });
  const title = `${FIGURES[figure]} of ${scoringName()}, state ${name}`;
  $("map-title").textContent = title;
  const asking = view.query < 0 ? "languages asking all others" : `${language(view.query)} asking others`;
  $("curve-title").textContent = `${FIGURES[figure]} along the states, ${view.lines ? asking : whose}`;
  const label = `${title}: the languages in rows ask, those in columns answer`;
  canvas.setAttribute("aria-label", label);
  drawMap();
  drawCurve();
  $("bands").textContent = bandsText();
  drawForms();
  drawOnset();
  drawDetail();
  $("swap").disabled = !selected();
  return drawSentences();
}
// Charts or tables of the same numbers.
function drawForms() {
  const asTable = view.form === "table";
  for (const id of ["map", "legend", "map-help", "curve"]) $(id).hidden = asTable;
  $("points").parentElement.hidden = !asTable;
  showTable("cells", asTable);
  if (!asTable) return;
  drawCells();
  $("points").replaceChildren(...curveTable());
}
function drawAll() {
  drawCards();
  draw();
  drawBest();
  drawSorted("coverage");
}
async function change(some) {
  if (some.correction !== undefined) await load(some.correction);
  Object.assign(view, some);
  if (some.correction !== undefined) drawAll();
  else draw();
  if (some.measure !== undefined) drawBest();
  writeAddress();
}
// The address names what is shown, so that it can be passed on.
function writeAddress() {
  const { figure, order, query, candidate } = view, { key } = meta.measures[view.measure];
  const words = { measure: key, correction: meta.corrections[view.correction].key };
  Object.assign(words, { state: stateName(view.state), figure, order, view: view.view });
  if (view.form !== "chart") words.form = view.form;
  if (view.lines) words.lines = view.lines;
  if (view.answers !== "missed") words.answers = view.answers;
  if (selected()) words.pair = [query, candidate].map((i) => meta.languages[i].code).join(",");
  addressOfTables(words);
  window.history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}
async function readAddress() {
  const words = new URLSearchParams(window.location.hash.slice(1)), codes = meta.languages.map((l) => l.code);
  const among = (list, word) => Math.max(0, list.map(({ key }) => key).indexOf(words.get(word)));
  const correction = among(meta.corrections, "correction");
  await load(correction);
  Object.assign(view, { measure: among(meta.measures, "measure"), correction });
  const state = meta.states.indexOf(words.get("state"));
  view.state = state >= 0 ? state : bestOf(view.measure) ?? S - 1;
  if (words.get("figure") in FIGURES) view.figure = words.get("figure");
  if (words.get("order") === "cluster") view.order = "cluster";
  view.form = words.get("form") === "table" ? "table" : "chart";
  view.lines = words.get("lines") ?? "";
  view.answers = kinds.find((kind) => kind === words.get("answers")) ?? "missed";
  if (words.get("view") === "mean") view.view = "mean";
  readTables(words);
  const [query, candidate] = (words.get("pair") ?? "").split(",").map((code) => codes.indexOf(code));
  const there = query >= 0 && pairAt[query * L + candidate] >= 0;
  Object.assign(view, there ? { query, candidate } : { query: -1, candidate: -1 });
}
// Languages to choose from; many stand below the names of their groups.
function languageOptions() {
  const option = (i) => node("option", { value: String(i) }, language(i));
  if (L <= 20) return meta.byGroup.map(option);
  const groups = [...new Set(meta.byGroup.map((i) => meta.languages[i].group))];
  const of = (group) => meta.byGroup.filter((i) => meta.languages[i].group === group);
  return groups.map((label) => node("optgroup", { label }, ...of(label).map(option)));
}
function fillControls() {
  $("state").max = S - 1;
  $("state").parentElement.title = `${terms.State} final: ${terms.final}`;
  $("correction").append(
    ...meta.corrections.map(({ label }, c) => node("option", { value: String(c) }, label)),
  );
  $("correction").addEventListener("change", () => change({ correction: Number($("correction").value) }));
  $("correction").parentElement.hidden = meta.corrections.length < 2;
  $("figure").append(...Object.entries(FIGURES).map(([key, name]) => node("option", { value: key }, name)));
  for (const id of ["query", "candidate"]) {
    $(id).append(
      node("option", { value: "-1" }, id === "query" ? "all pairs" : "–"),
      ...languageOptions(),
    );
    $(id).addEventListener("change", () => pick(id, Number($(id).value)));
  }
  $("state").addEventListener("input", () => change({ state: Number($("state").value) }));
  $("swap").addEventListener("click", () => change({ query: view.candidate, candidate: view.query }));
  $("lines").addEventListener("input", () => change({ lines: $("lines").value }));
  for (const id of ["figure", "view", "order", "form"]) {
    $(id).addEventListener("change", () => change({ [id]: $(id).value }));
  }
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
  $("figures").classList.toggle("many", MANY);
  readCoverage();
  addTools("best", "language, family, script …", writeAddress, true);
  addTools("cells", "language, family, script …", writeAddress, true);
  addTools("coverage", "language, code or group", writeAddress);
  addAnswers();
  addDownloads("map", "Map", (form) => saveFigure("map", form));
  addDownloads("curve", "Curves", (form) => saveFigure("curve", form));
  await readAddress();
  document.querySelector("main").hidden = false;
  fillControls();
  drawAll();
  window.addEventListener("hashchange", () => readAddress().then(drawAll));
  window.addEventListener("resize", draw);
  dark().addEventListener("change", draw);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
}
start().catch((error) => {
  const text = `The figures can't be shown (${error.message}). A browser of 2023 or later is needed; ` +
    "the same numbers are in retrieval.csv.";
  document.querySelector("header").append(node("p", { class: "alert" }, text));
});
