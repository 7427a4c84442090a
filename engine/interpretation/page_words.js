// The sentence pair shown: its words with lines between those that match, and its word pairs as a table.
const LINE = 25, TOP = 34; // pixels of a word's line, and above the first

const wordA = (pair, k) => pair.a.texts[pair.ia[k]] ?? "no word";
const wordB = (pair, k) => pair.b.texts[pair.ib[k]] ?? "no word";
const words = (pair, k) => `${wordA(pair, k)} – ${wordB(pair, k)}`;
function figures(pair, k) {
  return [
    ["similarity", figure(pair.similarity[k])],
    ["share of the score", percent(pair.share[k] / pair.scores[0])],
    ["transport mass", figure(pair.transport[k], 4)],
    ["means alike", figure(pair.meaning[k])],
    ["sounds alike", figure(pair.sound[k])],
  ];
}
const second = (centiseconds) => (centiseconds / 100).toFixed(2);

// Words of A on the left, of B on the right, lines between; both sentences fill the same height.
function drawWords() {
  const pair = sentences[view.at];
  if (!pair) {
    $("shown-title").textContent = "No sentence pair";
    $("scores").textContent = "";
    for (const id of ["words", "table"]) $(id).replaceChildren();
    return;
  }
  const { a, b } = meta.sets[view.set], shown = lines(pair), { texts: textsA } = pair.a;
  const rows = Math.max(textsA.length, pair.b.texts.length, 1), height = TOP + rows * LINE + 6;
  const width = Math.max(360, $("words").clientWidth), left = width * 0.38, right = width * 0.62;
  const y = (side, i) => TOP + (i + 0.5) * rows * LINE / side.texts.length;
  const label = `${shown.length} lines between the words; the table below has them all`;
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const svg = vector("svg", { ...size, role: "img", "aria-label": label });
  svg.append(
    vector("text", { x: left, y: 14, class: "head", "text-anchor": "end" }, meta.names[a]),
    vector("text", { x: right, y: 14, class: "head" }, meta.names[b]),
  );
  const drawn = drawLines(svg, pair, shown, left + 9, right - 9, y);
  drawSide(svg, pair, { side: pair.a, index: pair.ia, edge: left, clock: 4, end: true }, shown, drawn, y);
  const sideB = { side: pair.b, index: pair.ib, edge: right, clock: width - 4, end: false };
  drawSide(svg, pair, sideB, shown, drawn, y);
  $("words").replaceChildren(svg);
  for (const group of svg.querySelectorAll(".word")) {
    const [ground, text] = group.children, length = text.getComputedTextLength();
    ground.setAttribute("width", length + 12);
    ground.setAttribute("x", group.dataset.side === "a" ? left - length - 6 : right - 6);
  }
  describe(pair);
  drawTable(pair);
}

function drawLines(svg, pair, shown, from, to, y) {
  const most = Math.max(1e-9, ...shown.map((k) => pair.share[k])), bend = (to - from) * 0.4;
  const drawn = shown.map((k) => {
    const [ya, yb] = [y(pair.a, pair.ia[k]), y(pair.b, pair.ib[k])];
    const path = vector("path", {
      d: `M${from} ${ya}C${from + bend} ${ya} ${to - bend} ${yb} ${to} ${yb}`,
      class: view.kind,
      "stroke-width": view.kind === "share" ? 0.5 + 7 * pair.share[k] / most : 2,
      opacity: view.kind === "share" ? 0.55 : 0.85,
    });
    path.addEventListener("pointermove", (event) => {
      focus(svg, [k], shown, drawn);
      tip(event.clientX, event.clientY, words(pair, k), figures(pair, k));
    });
    path.addEventListener("pointerleave", () => blur(svg));
    return path;
  });
  svg.append(...drawn);
  return drawn;
}

// Words of one side, on a ground whose shade is their share of the score.
function drawSide(svg, pair, { side, index, edge, clock, end }, shown, drawn, y) {
  const share = (i) => pair.share.reduce((sum, part, k) => index[k] === i ? sum + part : sum, 0);
  const shares = side.texts.map((_, i) => share(i)), largest = Math.max(1e-9, ...shares);
  const [outer, inner] = end ? ["start", "end"] : ["end", "start"];
  side.texts.forEach((text, i) => {
    const at = y(side, i), opacity = 0.42 * shares[i] / largest;
    const group = vector(
      "g",
      { class: "word", "data-i": i, "data-side": end ? "a" : "b" },
      vector("rect", { class: "ground", x: edge - 6, y: at - 11, height: 22, rx: 4, opacity }),
      vector("text", { x: edge, y: at, "text-anchor": inner, direction: "ltr" }, text),
      vector("text", { class: "time", x: clock, y: at, "text-anchor": outer }, second(side.start[i])),
    );
    group.addEventListener("pointermove", (event) => {
      const mine = shown.filter((k) => index[k] === i);
      focus(svg, mine, shown, drawn, group);
      const time = ["time", `${second(side.start[i])} – ${second(side.end[i])} s`];
      const part = ["share of the score", percent(shares[i] / pair.scores[0])];
      const partners = mine.map((k) => [words(pair, k), figure(pair.similarity[k])]);
      tip(event.clientX, event.clientY, text, [time, part, ...partners]);
    });
    group.addEventListener("pointerleave", () => blur(svg));
    svg.append(group);
  });
}

function focus(svg, mine, shown, drawn, word) {
  const pair = sentences[view.at], on = new Set(mine);
  svg.classList.add("focus");
  drawn.forEach((path, place) => path.classList.toggle("on", on.has(shown[place])));
  for (const group of svg.querySelectorAll(".word")) {
    const index = group.dataset.side === "a" ? pair.ia : pair.ib;
    group.classList.toggle("on", group === word || mine.some((k) => index[k] === Number(group.dataset.i)));
  }
}
function blur(svg) {
  svg.classList.remove("focus");
  hideTip();
}

function describe(pair) {
  const [f1, precision, recall] = pair.scores.map((score) => figure(score));
  const other = pair.sentenceA === pair.sentenceB ? "" : ` with ${pair.sentenceB}`;
  $("shown-title").textContent = `Sentence ${pair.sentenceA}${other}`;
  $("scores").textContent = `SeqSim ${f1} (precision ${precision}, recall ${recall}); ` +
    `pairs of words carry ${percent(1 - pair.gap / pair.scores[0])} of it, frames of no word the rest.` +
    (pair.gold ? "" : " Wrongly retrieved.");
}
function drawTable(pair) {
  const { a, b } = meta.sets[view.set], order = pair.ia.map((_, k) => k);
  order.sort((x, y) => pair.share[y] - pair.share[x]);
  const kinds = (flags) => [flags & MUTUAL ? "mutual" : [], flags & TRANSPORT ? "transport" : []].flat();
  const rows = order.map((k) => [
    wordA(pair, k),
    wordB(pair, k),
    kinds(pair.flags[k]).join(", "),
    ...figures(pair, k).map(([, text]) => text),
  ]);
  const heads = ["Match", "Similarity", "Share", "Transport", "Means alike", "Sounds alike"];
  $("table").replaceChildren(...globalThis.table([meta.names[a], meta.names[b], ...heads], rows, 3));
}
