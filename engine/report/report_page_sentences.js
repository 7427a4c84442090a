// Single queries of the pair selected, out of scripts beside the page.
let turn = 0; // of the last request, because an earlier one may end later
let player = null;
const kinds = ["missed", "found", "all"];

function halfFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
// Text and address of the recording of a sentence in a language.
async function textsOf(i) {
  if (!meta.texts) return () => ["", ""];
  const found = await bring(meta.folder, `text-${encodeURIComponent(meta.languages[i].code)}.js`);
  return (id) => found?.[id] ?? ["", ""];
}
async function answersOf({ p, direction }) {
  const languages = [view.query, view.candidate]; // they may be others when the files are there
  const file = meta.answers[p], found = file ? await bring(meta.folder, file) : null;
  const packed = found?.blocks[scoringOf(view.measure)];
  if (!packed) return { found };
  const numbers = new Uint16Array(await inflated(packed).arrayBuffer());
  const ids = found.sentences, n = ids.length, start = (2 * view.state + direction) * 3 * n;
  const [asks, answers] = await Promise.all(languages.map(textsOf));
  const rows = ids.map((id, i) => {
    const [rank, rival, bits] = [0, 1, 2].map((plane) => numbers[start + plane * n + i]);
    const row = {
      id,
      rank,
      rival: ids[rival],
      behind: -halfFloat(bits),
      first: rank === 1 ? id : ids[rival],
    };
    return { ...row, texts: [asks(id), answers(id), answers(ids[rival])] };
  });
  const counts = new Map();
  rows.forEach(({ first }) => counts.set(first, (counts.get(first) ?? 0) + 1));
  rows.forEach((row) => {
    row.firsts = counts.get(row.rival) ?? 0;
  });
  rows.sort((a, b) => b.behind - a.behind);
  return { found, rows, counts };
}

async function drawSentences() {
  const pair = selected(), mine = ++turn;
  if (!pair || !meta.answers.length) return sentencesWithout(pair);
  const { found, rows, counts } = await answersOf(pair);
  if (mine !== turn) return;
  if (!rows) return sentencesWithout(pair, found);
  const missed = rows.filter(({ rank }) => rank > 1), way = wayOf(pair.p, pair.direction);
  const place = `${scoringName()}, state ${stateName(view.state)}`;
  $("sentences-title").textContent = `${way}: ${missed.length} of ${rows.length} missed, ${place}`;
  const most = [...counts].sort((a, b) => b[1] - a[1]).filter(([, count]) => count > 1).slice(0, 3);
  const hubs = most.map(([id, count]) => `${id} for ${count}`).join(", ");
  $("sentences-note").textContent = most.length ? `Answers that come first most often: ${hubs} queries.` : "";
  const highest = most[0]?.[1] ?? Infinity; // of several that come first equally often, all are hubs
  const wanted = { missed, all: rows, found: rows.filter(({ rank }) => rank === 1) }[view.answers];
  const columns = sentenceColumns(highest);
  const words = ({ id, rival, texts }) => [id, rival, ...texts.map(([text]) => text)].join(" ");
  tables.sentences = { columns, rows: wanted, words, make: (row) => sentenceRow(columns, row) };
  showTable("sentences", true);
  drawSorted("sentences");
}
function sentencesWithout(pair, found) {
  $("sentences-title").textContent = "From a cell to its sentences";
  const why = !meta.answers.length
    ? "The report was made without them (--answers=none)."
    : !pair
    ? "Select a pair, in the map or above the curves: here stand the queries that it misses, and what comes instead."
    : meta.n[pair.p] === 0
    ? "The two languages have no sentence in common."
    : !meta.answers[pair.p]
    ? "Not all scores of this pair are computed, so its sentences aren't kept yet."
    : found
    ? "The report keeps the answers of uncorrected scores only (--answers=uncorrected)."
    : `They are in the folder ${meta.folder} beside report.html, which this copy of the page doesn't have.`;
  $("sentences-note").textContent = why;
  showTable("sentences", false);
}
function sentenceColumns(highest) {
  const [asks, answers] = [view.query, view.candidate].map(language);
  const text = (head, k) => ({ head, value: ({ texts }) => texts[k][0], hidden: true });
  const some = meta.texts ? [text(`Text in ${asks}`, 0), text(`Translation in ${answers}`, 1)] : [];
  return [
    { head: "Query", value: ({ id }) => id, title: `Sentence spoken in ${asks}`, side: 0 },
    ...(meta.texts ? [{ head: "Right answer", value: ({ id }) => id, side: 1 }] : []),
    {
      head: "Rank",
      value: ({ rank }) => rank,
      number: true,
      title: "Rank of the right answer; 1 is found",
    },
    {
      head: "Came instead",
      value: ({ rival }) => rival,
      side: 2,
      title: `Wrong answer in ${answers} of the highest score; of a query that is found, the second`,
    },
    {
      head: "Missed by",
      value: ({ behind }) => behind,
      number: true,
      text: (row) => Number.isNaN(row.behind) ? "–" : row.behind.toPrecision(3).replace("-", "−"),
      title: "Score of the wrong answer minus that of the right one (of a cost, the other way round); " +
        "below 0 the query is found",
    },
    {
      head: "First for",
      value: ({ firsts }) => firsts,
      number: true,
      text: (row) => `${row.firsts}${row.firsts >= highest ? " ● hub" : ""}`,
      title: `Number of queries for which this wrong answer comes first. ${terms.Hub}`,
    },
    ...some,
    ...(meta.texts ? [text("Text that came instead", 2)] : []),
  ];
}
function sentenceRow(columns, row) {
  const cells = columns.filter(({ hidden }) => !hidden).map(({ value, text, number, side }) => {
    if (side === undefined) {
      return node("td", number ? { class: "number" } : {}, text ? text(row) : String(value(row)));
    }
    const [words, place] = row.texts[side], id = value(row);
    const spoken = language(side ? view.candidate : view.query);
    const parts = [node("span", { class: "soft", dir: "auto" }, id)];
    if (place) parts.push(" ", playButton(place, `Play ${id} in ${spoken}`));
    if (words) {
      const lang = meta.languages[side ? view.candidate : view.query].code.slice(0, 2);
      parts.push(node("div", { dir: "auto", lang }, words));
    }
    return node(side ? "td" : "th", { class: "sentence", ...(side ? {} : { scope: "row" }) }, ...parts);
  });
  return node("tr", {}, ...cells);
}
// One recording at a time; a second press stops it.
function playButton(place, label) {
  const button = node("button", { type: "button", "aria-label": label, title: label, class: "play" }, "▶");
  const rest = () => {
    button.textContent = "▶";
  };
  button.addEventListener("click", () => {
    const mine = player?.button === button && !player.sound.paused;
    player?.sound.pause();
    if (mine) return;
    const sound = new window.Audio(place);
    player = { button, sound };
    for (const end of ["pause", "ended"]) sound.addEventListener(end, rest);
    sound.addEventListener("error", () => {
      button.replaceWith(node("span", { class: "soft", role: "status" }, "no recording there"));
    });
    button.textContent = "■";
    sound.play().catch(rest);
  });
  return button;
}
function addAnswers() {
  addTools("sentences", "sentence or words of it", writeAddress);
  const kind = node("select", { id: "answers", "aria-label": "Queries shown" });
  const names = ["missed queries", "queries found", "all queries"];
  kind.append(...kinds.map((key, k) => node("option", { value: key }, names[k])));
  kind.addEventListener("change", () => change({ answers: kind.value }));
  $("sentences-filter").parentElement.before(kind);
}
