// The sentence pair shown, the plane, tables, pointer and keyboard, and the start.
const LINE = 25, TOP = 34; // pixels of a word's line, and above the first

function tip(x, y, title, rows) {
  const list = node("dl", {}, ...rows.flatMap(([name, text]) => [node("dt", {}, name), node("dd", {}, text)]));
  $("tip").replaceChildren(node("strong", { dir: "auto" }, title), list);
  $("tip").hidden = false;
  const box = $("tip").getBoundingClientRect();
  $("tip").style.left = `${Math.max(4, x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16)}px`;
  $("tip").style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 6))}px`;
}
const hideTip = () => { $("tip").hidden = true; };
const words = (pair, k) => `${pair.a.texts[pair.ia[k]] ?? "no word"} – ${pair.b.texts[pair.ib[k]] ?? "no word"}`;
function figures(pair, k) {
  return [["similarity", figure(pair.similarity[k])], ["share of the score", percent(pair.share[k] / pair.scores[0])], ["transport mass", figure(pair.transport[k], 4)], ["means alike", figure(pair.meaning[k])], ["sounds alike", figure(pair.sound[k])]];
}
const seconds = (side, i) => `${(side.start[i] / 100).toFixed(2)} – ${(side.end[i] / 100).toFixed(2)} s`;

// Words of A on the left, of B on the right, lines between; both sentences fill the same height.
function drawWords() {
  const pair = sentences[view.at];
  if (!pair) { $("words").replaceChildren(); $("shown-title").textContent = "No sentence pair"; $("scores").textContent = ""; $("table").replaceChildren(); return; }
  const { a, b } = meta.sets[view.set], shown = lines(pair);
  const width = Math.max(360, $("words").clientWidth), rows = Math.max(pair.a.texts.length, pair.b.texts.length, 1);
  const height = TOP + rows * LINE + 6, left = width * 0.38, right = width * 0.62;
  const y = (side, i) => TOP + (i + 0.5) * rows * LINE / side.texts.length;
  const svg = vector("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${shown.length} lines between the words; the table below has them all` });
  svg.append(vector("text", { x: left, y: 14, class: "head", "text-anchor": "end" }, meta.names[a]), vector("text", { x: right, y: 14, class: "head" }, meta.names[b]));
  const most = Math.max(1e-9, ...shown.map((k) => pair.share[k]));
  const drawn = shown.map((k) => {
    const [ya, yb] = [y(pair.a, pair.ia[k]), y(pair.b, pair.ib[k])], x = [left + 9, right - 9], bend = (x[1] - x[0]) * 0.4;
    const path = vector("path", { d: `M${x[0]} ${ya}C${x[0] + bend} ${ya} ${x[1] - bend} ${yb} ${x[1]} ${yb}`, class: view.kind, "stroke-width": view.kind === "share" ? 0.5 + 7 * pair.share[k] / most : 2, opacity: view.kind === "share" ? 0.55 : 0.85 });
    path.addEventListener("pointermove", (event) => { focus(svg, [k], shown, drawn); tip(event.clientX, event.clientY, words(pair, k), figures(pair, k)); });
    path.addEventListener("pointerleave", () => { blur(svg); });
    return path;
  });
  svg.append(...drawn);
  for (const [side, index, edge, anchor] of [[pair.a, pair.ia, left, "end"], [pair.b, pair.ib, right, "start"]]) {
    const shares = side.texts.map((_, i) => pair.share.reduce((sum, share, k) => index[k] === i ? sum + share : sum, 0));
    const largest = Math.max(1e-9, ...shares), outward = anchor === "end" ? -1 : 1;
    side.texts.forEach((text, i) => {
      const group = vector("g", { class: "word", "data-i": i, "data-side": anchor });
      const ground = vector("rect", { class: "ground", x: outward < 0 ? edge - 6 : edge - 6, y: y(side, i) - 11, height: 22, rx: 4, opacity: 0.42 * shares[i] / largest });
      const label = vector("text", { x: edge, y: y(side, i), "text-anchor": anchor, direction: "ltr" }, text);
      group.append(ground, label, vector("text", { class: "time", x: outward < 0 ? 4 : width - 4, y: y(side, i), "text-anchor": outward < 0 ? "start" : "end" }, (side.start[i] / 100).toFixed(2)));
      group.addEventListener("pointermove", (event) => {
        const mine = shown.filter((k) => index[k] === i);
        focus(svg, mine, shown, drawn, group);
        const partners = mine.map((k) => [words(pair, k), figure(pair.similarity[k])]);
        tip(event.clientX, event.clientY, text, [["time", seconds(side, i)], ["share of the score", percent(shares[i] / pair.scores[0])], ...partners]);
      });
      group.addEventListener("pointerleave", () => { blur(svg); });
      svg.append(group);
    });
  }
  $("words").replaceChildren(svg);
  for (const group of svg.querySelectorAll(".word")) {
    const [ground, label] = group.children, size = label.getComputedTextLength();
    ground.setAttribute("width", size + 12);
    ground.setAttribute("x", group.dataset.side === "end" ? left - size - 6 : right - 6);
  }
  describe(pair);
  drawTable(pair);
}
function focus(svg, mine, shown, drawn, word) {
  const pair = sentences[view.at], on = new Set(mine);
  svg.classList.add("focus");
  drawn.forEach((path, place) => path.classList.toggle("on", on.has(shown[place])));
  for (const group of svg.querySelectorAll(".word")) {
    const index = group.dataset.side === "end" ? pair.ia : pair.ib;
    group.classList.toggle("on", group === word || mine.some((k) => index[k] === Number(group.dataset.i)));
  }
}
function blur(svg) {
  svg.classList.remove("focus");
  hideTip();
}
function describe(pair) {
  const [f1, precision, recall] = pair.scores, same = pair.sentenceA === pair.sentenceB;
  $("shown-title").textContent = same ? `Sentence ${pair.sentenceA}` : `Sentence ${pair.sentenceA} with ${pair.sentenceB}`;
  $("scores").textContent = `SeqSim ${figure(f1)} (precision ${figure(precision)}, recall ${figure(recall)}); pairs of words carry ${percent(1 - pair.gap / f1)} of it, frames of no word the rest.${pair.gold ? "" : " Wrongly retrieved."}`;
}
function table(heads, rows, numbers) {
  const kind = (k) => k >= numbers ? { class: "number" } : {};
  const row = (texts) => node("tr", {}, ...texts.map((text, k) => k ? node("td", { dir: "auto", ...kind(k) }, text) : node("th", { scope: "row", dir: "auto" }, text)));
  return [node("thead", {}, node("tr", {}, ...heads.map((text, k) => node("th", { scope: "col", ...kind(k) }, text)))), node("tbody", {}, ...rows.map(row))];
}
function drawTable(pair) {
  const { a, b } = meta.sets[view.set], order = pair.ia.map((_, k) => k).sort((x, y) => pair.share[y] - pair.share[x]);
  const rows = order.map((k) => [
    pair.a.texts[pair.ia[k]] ?? "no word", pair.b.texts[pair.ib[k]] ?? "no word",
    [pair.flags[k] & MUTUAL ? "mutual" : "", pair.flags[k] & TRANSPORT ? "transport" : ""].filter(Boolean).join(", "),
    figure(pair.similarity[k]), percent(pair.share[k] / pair.scores[0]), figure(pair.transport[k], 4), figure(pair.meaning[k]), figure(pair.sound[k])]);
  $("table").replaceChildren(...table([meta.names[a], meta.names[b], "Match", "Similarity", "Share", "Transport", "Means alike", "Sounds alike"], rows, 3));
}

// Which matches sound alike, which mean alike; share of the score has no chance to compare with: mutual ones.
const testedKind = () => view.kind === "transport" ? "transport" : "mutual";
let points = []; // [x, y, sentence pair, word pair] as drawn
function drawPlane() {
  const { a, b, state } = meta.sets[view.set], kind = testedKind();
  const is = (row) => row.language_a === a && row.language_b === b && row.state === state && row.kind === kind;
  $("plane-title").textContent = `Sound and meaning of ${kind === "mutual" ? "mutual best matches" : "matches by transport"}, state ${state}`;
  const found = meta.planes.find(is), cloud = meta.random.find((row) => row.a === a && row.b === b && row.state === state);
  const known = sentences.some((pair) => pair.meaning.some((x, k) => !Number.isNaN(x) && !Number.isNaN(pair.sound[k])));
  $("plane").hidden = $("plane-note").hidden = !known;
  if (known) paint(found, cloud, kind);
  const rows = meta.tests.filter(is).filter(({ n }) => n).map((row) => {
    const sign = row.check === "meaning" ? 1 : -1, p = row.p_permutation;
    return [row.check === "meaning" ? "means alike" : "sounds alike", figure(sign > 0 ? row.matched : 1 - row.matched), figure(sign > 0 ? row.random : 1 - row.random),
      row.d_z === null ? "–" : (sign * row.d_z).toFixed(2), p < 0.001 ? "< 0.001" : figure(p), row.p_t === null ? "–" : row.p_t < 0.001 ? "< 0.001" : figure(row.p_t), String(row.n)];
  });
  $("tests").replaceChildren(...rows.length ? table(["", "Matches", "Random", "d", "p, flips", "p, t", "n"], rows, 1) : [node("caption", {}, "Neither check was made for these languages.")]);
}
function paint(found, cloud, kind) {
  const canvas = $("plane").firstElementChild, width = $("plane").clientWidth, height = Math.round(width * 0.86), scale = devicePixelRatio;
  canvas.width = width * scale; canvas.height = height * scale; canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d"), frame = { left: 38, right: 14, top: 22, bottom: 38 };
  const x = (v) => frame.left + v * (width - frame.left - frame.right), y = (v) => height - frame.bottom - Math.max(0, v) * (height - frame.top - frame.bottom);
  pen.scale(scale, scale);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  if (cloud) {
    const most = Math.max(...cloud.cells), n = meta.side;
    cloud.cells.forEach((count, i) => {
      if (!count) return;
      pen.fillStyle = `rgb(${css("--cloud")} / ${0.05 + 0.3 * Math.sqrt(count / most)})`;
      pen.fillRect(x(i % n / n), y((Math.floor(i / n) + 1) / n), x(1 / n) - x(0), y(0) - y(1 / n));
    });
  }
  pen.strokeStyle = css("--rule"); pen.fillStyle = css("--muted"); pen.lineWidth = 1;
  for (let v = 0; v <= 1.001; v += 0.2) {
    pen.beginPath(); pen.moveTo(x(v), y(0)); pen.lineTo(x(v), y(1)); pen.moveTo(x(0), y(v)); pen.lineTo(x(1), y(v)); pen.stroke();
    pen.textAlign = "center"; pen.fillText(v.toFixed(1), x(v), height - frame.bottom + 16);
    pen.textAlign = "right"; pen.fillText(v.toFixed(1), frame.left - 7, y(v) + 4);
  }
  pen.textAlign = "center"; pen.fillText("sounds alike →", (x(0) + x(1)) / 2, height - 5);
  pen.textAlign = "left"; pen.fillText("means alike ↑", 2, 11);
  const sound = found && found.sound_limit !== null ? 1 - found.sound_limit : NaN, meaning = found?.meaning_limit ?? NaN;
  points = [];
  sentences.forEach((pair, i) => { for (const k of lines(pair, kind)) {
    if (Number.isNaN(pair.meaning[k]) || Number.isNaN(pair.sound[k])) continue;
    points.push([x(pair.sound[k]), y(pair.meaning[k]), i, k, meta.alike[pair.alike[k] ?? 0]]);
  } });
  pen.globalAlpha = points.length > 3000 ? 0.25 : 0.5;
  for (const [px, py, , , alike] of points) { pen.fillStyle = css(`--${alike}`); pen.beginPath(); pen.arc(px, py, 3, 0, 7); pen.fill(); }
  pen.globalAlpha = 1;
  if (!Number.isNaN(sound) && !Number.isNaN(meaning)) {
    pen.strokeStyle = css("--muted"); pen.setLineDash([5, 4]);
    pen.beginPath(); pen.moveTo(x(sound), y(0)); pen.lineTo(x(sound), y(1)); pen.moveTo(x(0), y(meaning)); pen.lineTo(x(1), y(meaning)); pen.stroke();
    pen.setLineDash([]);
    corners(pen, found, x, y);
  }
  pen.strokeStyle = css("--ink"); pen.lineWidth = 1.6;
  for (const [px, py, i] of points) if (i === view.at) { pen.beginPath(); pen.arc(px, py, 5, 0, 7); pen.stroke(); }
}
function corners(pen, found, x, y) {
  const total = Math.max(1, found.both + found.meaning + found.sound + found.neither);
  pen.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  pen.strokeStyle = css("--surface"); pen.lineWidth = 4; pen.lineJoin = "round";
  for (const [name, text, px, py, align] of [["meaning", "meaning alone", 0.01, 0.965, "left"], ["both", "both", 0.99, 0.965, "right"], ["sound", "sound alone", 0.99, 0.015, "right"], ["neither", "neither", 0.01, 0.015, "left"]]) {
    const said = `${text} ${percent(found[name] / total)}`;
    pen.textAlign = align; pen.fillStyle = css(name === "neither" ? "--muted" : `--${name}`);
    pen.strokeText(said, x(px), y(py)); pen.fillText(said, x(px), y(py));
  }
}
function nearest(event) {
  const box = $("plane").firstElementChild.getBoundingClientRect(), at = [event.clientX - box.left, event.clientY - box.top];
  let best = null, least = 14;
  for (const point of points) { const far = Math.hypot(point[0] - at[0], point[1] - at[1]); if (far < least) [best, least] = [point, far]; }
  return best;
}

function select(i) {
  view.at = i;
  drawList(); reveal(); drawList(); drawWords(); drawPlane();
  const pair = sentences[i];
  if (pair) $("live").textContent = `${$("shown-title").textContent}, score ${figure(pair.scores[0])}, ${lines(pair).length} lines`;
}
function refresh() {
  arrange();
  select(view.at);
}
async function choose(set) {
  const kept = sentences[view.at]?.sentenceA;
  view.set = set;
  const loaded = await load(set);
  if (view.set !== set) return; // another was chosen while this one was unpacked
  sentences = loaded;
  view.at = sentences.findIndex(({ sentenceA }) => sentenceA === kept);
  refresh();
}
function start() {
  const names = [...new Set(meta.sets.map(({ a, b }) => `${a}\t${b}`))];
  const title = (key) => key.split("\t").map((code) => meta.names[code]).join(" – ");
  $("languages").append(...names.map((key) => node("option", { value: key }, title(key))));
  const fill = () => {
    const chosen = $("state").value, mine = meta.sets.map((set, i) => ({ ...set, i })).filter(({ a, b }) => `${a}\t${b}` === $("languages").value);
    $("state").replaceChildren(...mine.map(({ i, state, n }) => node("option", { value: state, "data-set": i }, `${state} (${n.toLocaleString("en")} sentence pairs)`)));
    if (mine.some(({ state }) => state === chosen)) $("state").value = chosen;
    choose(Number($("state").selectedOptions[0].dataset.set));
  };
  $("languages").addEventListener("change", fill);
  $("state").addEventListener("change", () => { choose(Number($("state").selectedOptions[0].dataset.set)); });
  for (const id of ["kind", "order"]) $(id).addEventListener("change", () => { view[id] = $(id).value; refresh(); });
  $("search").addEventListener("input", () => { view.search = $("search").value; refresh(); });
  $("wrong").addEventListener("change", () => { view.wrong = $("wrong").checked; refresh(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("list").addEventListener("scroll", drawList, { passive: true });
  $("list").addEventListener("keydown", (event) => {
    const page = Math.floor($("list").clientHeight / ROW), step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !listed.length) return;
    event.preventDefault();
    select(listed[Math.max(0, Math.min(listed.length - 1, listed.indexOf(view.at) + step))]);
  });
  $("plane").addEventListener("pointermove", (event) => {
    const point = nearest(event);
    if (point) tip(event.clientX, event.clientY, words(sentences[point[2]], point[3]), figures(sentences[point[2]], point[3])); else hideTip();
  });
  $("plane").addEventListener("pointerleave", hideTip);
  $("plane").addEventListener("click", (event) => { const point = nearest(event); if (point) select(point[2]); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawPlane(); });
  addEventListener("resize", () => { drawList(); drawWords(); drawPlane(); });
  document.querySelector("main").hidden = false;
  fill();
}
if (meta.sets.length) start();
else $("settings-title").parentElement.before(node("p", { class: "alert" }, "No sentence pair was interpreted."));
