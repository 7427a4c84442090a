// The table of contrasts, controls, the address and the start of the page of several grids.
function contrastColumns() {
  const [one, other] = sides().map(({ label }) => label), best = view.state === "best";
  const state = (side, label) => ({
    head: `State of ${label}`,
    value: ({ names }) => names[side],
    title: terms["Best state"],
  });
  const share = (side, label) => ({
    head: `R@1, ${label}`,
    value: ({ shares }) => shares[side],
    number: true,
    title: terms["R@1"],
    link: side,
  });
  const end = (k) => ({ head: ["from", "to"][k], value: (row) => row.ends[k], number: true, hidden: true });
  const gain = {
    head: "Difference [95% interval]",
    value: (row) => row.gain,
    text: (row) => `${points(row.gain)} [${ends(...row.ends)}]`,
    number: true,
    title: `${terms.Difference} ${terms["95% interval"]}`,
  };
  return [
    { head: "Asks", value: ({ asks }) => language(asks), title: terms.asks },
    { head: "Answers", value: ({ answers }) => language(answers), title: terms.answers },
    ...(best ? [state(0, one), state(1, other)] : []),
    share(0, one),
    share(1, other),
    gain,
    end(0),
    end(1),
    { head: "q", value: ({ q }) => q, text: ({ q }) => qText(q), number: true, title: terms.q },
    { head: "n", value: ({ n }) => n, text: ({ n }) => String(n), number: true, title: terms.n },
  ];
}
// Address of the cell in the grid's own page.
function cellOf(row, side) {
  const codes = [row.asks, row.answers].map((i) => meta.languages[i].code).join(",");
  const { key: measure } = meta.measures[view.measure],
    { key: correction } = meta.corrections[view.correction];
  const words = new URLSearchParams({ measure, correction, state: row.names[side], pair: codes });
  return `${sides()[side].address}/report.html#${words}`;
}
function contrastRow(columns, row) {
  const cells = columns.filter(({ hidden }) => !hidden).map(({ value, text, number: right, link }, k) => {
    if (!k) return node("th", { scope: "row" }, value(row));
    const words = text ? text(row) : link === undefined ? value(row) : percent(value(row));
    const inside = link === undefined ? words : node("a", { href: cellOf(row, link) }, words);
    return node("td", right ? { class: "number" } : {}, inside);
  });
  return node("tr", {}, ...cells);
}
let turn = 0; // of the last request, because an earlier one may end later
async function drawContrasts() {
  const mine = ++turn, found = await contrasts(), rows = found ?? [];
  if (mine !== turn) return;
  const [one, other] = sides().map(({ label }) => label), columns = contrastColumns();
  const words = ({ asks, answers }) => [asks, answers].map(about).join(" ");
  const make = (row) => contrastRow(columns, row);
  tables.contrasts = { columns, rows, words, q: ({ q }) => q, make };
  const place = view.state === "best" ? "at each pair's best states" : `state ${view.state}`;
  $("contrasts-title").textContent = `${one} against ${other}, pair by pair: ${scoringName()}, ${place}`;
  const better = rows.filter(({ gain, q }) => q < 0.05 && gain > 0).length;
  const worse = rows.filter(({ gain, q }) => q < 0.05 && gain < 0).length;
  const count = (k) => k.toLocaleString("en");
  $("contrasts-note").textContent = !found
    ? `They are in the folder ${meta.folder} beside ${meta.file}, which this copy of the page doesn't have.`
    : rows.length
    ? `Of ${count(rows.length)} directions, ${one} is better in ${count(better)} and worse in ${
      count(worse)
    } ` +
      "with q < 0.05. R@1 leads to the cell in the grid's own page."
    : "The two grids have no language pair, sentence or state in common for this measure.";
  drawSorted("contrasts");
}

function draw() {
  for (const id of ["measure", "correction", "two", "form"]) $(id).value = view[id];
  $("correction-note").textContent = meta.corrections[view.correction].about;
  fillStates();
  const asTable = view.form === "table";
  for (const id of ["curve", "gain"]) {
    $(id).hidden = asTable;
    $(`${id}-table`).parentElement.hidden = !asTable;
  }
  drawCurves();
  drawGain();
  rowsAsTable("curve", curveRows(), 2);
  rowsAsTable("gain", gainRows(), 1);
  return drawContrasts();
}
function change(some) {
  Object.assign(view, some);
  if (view.state !== "best" && !two().states.includes(view.state)) view.state = "best";
  writeAddress();
  return draw();
}
function fillStates() {
  const named = two().states.map((name) => node("option", { value: name }, `state ${name}`));
  $("state").replaceChildren(node("option", { value: "best" }, "each pair's best"), ...named);
  $("state").value = view.state;
}
const labelsOf = ({ grids }) => grids.map((g) => meta.grids[g].label);
// The address names what is shown, so that it can be passed on.
function writeAddress() {
  const words = {
    measure: meta.measures[view.measure].key,
    correction: meta.corrections[view.correction].key,
  };
  if (meta.twos.length > 1) words.two = labelsOf(two()).join(",");
  words.state = view.state;
  if (view.form !== "chart") words.form = view.form;
  addressOfTables(words);
  window.history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}
function readAddress() {
  const words = new URLSearchParams(window.location.hash.slice(1));
  const among = (list, word) => Math.max(0, list.map(({ key }) => key).indexOf(words.get(word)));
  Object.assign(view, {
    measure: among(meta.measures, "measure"),
    correction: among(meta.corrections, "correction"),
    two: Math.max(0, meta.twos.map((each) => labelsOf(each).join(",")).indexOf(words.get("two"))),
    form: words.get("form") === "table" ? "table" : "chart",
  });
  const state = words.get("state");
  view.state = two().states.includes(state) ? state : "best";
  readTables(words);
}
function fillControls() {
  const fill = (id, texts) => {
    $(id).append(...texts.map((text, k) => node("option", { value: String(k) }, text)));
    $(id).addEventListener("change", () => change({ [id]: Number($(id).value) }));
    $(id).parentElement.hidden = texts.length < 2;
  };
  fill("measure", meta.measures.map(({ label }) => label));
  fill("correction", meta.corrections.map(({ label }) => label));
  fill("two", meta.twos.map((each) => labelsOf(each).join(" minus ")));
  for (const id of ["state", "form"]) $(id).addEventListener("change", () => change({ [id]: $(id).value }));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
}
// Saves a chart as it is shown: "curve" or "gain" as "svg", "png" or "csv".
async function saveChart(id, form) {
  const stem = [id === "curve" ? "grids" : labelsOf(two()).join("-minus-"), scoring()].join("-");
  if (form === "csv") return saveRows(stem, id === "curve" ? curveRows() : gainRows());
  const shown = view.form;
  view.form = "chart"; // a table has no picture
  print(true);
  const svg = chartFile(id, $(`${id}-title`).textContent);
  view.form = shown;
  print(false);
  await saveVector(stem, form, svg);
}
function print(on) {
  printing = on;
  document.documentElement.classList.toggle("paper", on);
  draw();
}
async function start() {
  addTools("contrasts", "language, family, script …", writeAddress, true);
  addDownloads("curve", "Curves", (form) => saveChart("curve", form));
  addDownloads("gain", "Differences", (form) => saveChart("gain", form));
  fillControls();
  readAddress();
  document.querySelector("main").hidden = false;
  await draw();
  window.addEventListener("hashchange", () => {
    readAddress();
    draw();
  });
  window.addEventListener("resize", draw);
  dark().addEventListener("change", draw);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
}
start().catch((error) => {
  const text = `The figures can't be shown (${error.message}). The same numbers are in grid_contrasts.csv.`;
  document.querySelector("header").append(node("p", { class: "alert" }, text));
});
