// The tables of the page: challenge sets, and the sentences that they remove.
const number = (head, name, text) => ({ head, value: (row) => row[name] ?? NaN, text, number: true });
const shareOf = (head, name) => number(head, name, (row) => share(row[name]));
// An interval in one column, sorted by its lower end; a file has both ends.
const interval = (head, low, high) => [
  number(`${head}, 95% from`, low, (row) => between(row[low], row[high])),
  { ...number(`${head}, 95% to`, high), hidden: true },
];
const word = (head, value) => ({ head, value });

function setColumns() {
  const other = meta.other
    ? [
      shareOf("Other encoder", "other_recall_at_1"),
      shareOf("Difference from it", "other_difference"),
      ...interval("Difference from it", "other_difference_low", "other_difference_high"),
    ]
    : [];
  return [
    word("Removed", (row) => row.removed),
    number("Alike from", "alike", (row) => known(row.alike) ? row.alike.toFixed(2) : "–"),
    word("Form", (row) => row.form === "both" ? "both sides" : "queries only"),
    number("Queries", "queries", (row) => row.queries.toLocaleString("en")),
    number("Candidates", "candidates", (row) => row.candidates.toLocaleString("en")),
    shareOf("R@1", "recall_at_1"),
    ...interval("R@1", "ci_low", "ci_high"),
    shareOf("Expected", "expected"),
    shareOf("Difference", "difference"),
    ...interval("Difference", "difference_low", "difference_high"),
    ...interval("Random removal", "random_low", "random_high"),
    ...other,
  ];
}
function whyColumns() {
  const two = (head, name) => number(head, name, (row) => known(row[name]) ? row[name].toFixed(2) : "–");
  return [
    word("Sentence", (row) => row.sentence),
    word("Rules", (row) => ["names", "numbers", "alike"].filter((rule) => row[rule]).join(", ")),
    ...meta.pairs[view.at].map((code, k) => word(meta.names[code], (row) => row[k ? "text_b" : "text_a"])),
    word("Names", (row) => row.names_found ?? ""),
    word("Numbers", (row) => row.numbers_found ?? ""),
    word("Closest words", (row) => row.word_a ? `${row.word_a} / ${row.word_b}` : ""),
    two("Phones alike", "closest"),
    two("Overlap", "overlap"),
    two("Advantage", view.direction ? "advantage_ba" : "advantage_ab"),
  ];
}
// A table of records: text of each column as it is seen, and words for the filter.
function fillTable(id, columns, rows) {
  const text = ({ value, text }, row) => text ? text(row) : value(row);
  const shown = columns.filter(({ hidden }) => !hidden);
  const cell = (column, row, k) =>
    k
      ? node("td", column.number ? { class: "number" } : { dir: "auto" }, text(column, row))
      : node("th", { scope: "row", dir: "auto" }, text(column, row));
  tables[id] = {
    columns,
    rows,
    words: (row) => shown.map((column) => text(column, row)).join(" "),
    make: (row) => node("tr", {}, ...shown.map((column, k) => cell(column, row, k))),
  };
  drawSorted(id);
}
function drawSets() {
  const state = meta.states[view.state];
  const [a, b] = view.direction ? meta.pairs[view.at].toReversed() : meta.pairs[view.at];
  $("sets-title").textContent = `Challenge sets, ${meta.names[a]} → ${meta.names[b]}, state ${state}`;
  fillTable("sets", setColumns(), rows({ state, scores: "as they are" }));
}
function drawWhy() {
  const gone = view.pair.sentences.filter((row) => row.names || row.numbers || row.alike);
  fillTable("why", whyColumns(), gone);
}
