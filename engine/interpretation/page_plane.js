// The plane: which matches sound alike, which mean alike. A share of the score has no chance to be compared
// with, so there the plane shows mutual best matches.
const testedKind = () => view.kind === "transport" ? "transport" : "mutual";
let points = []; // [x, y, sentence pair, word pair, alike] as drawn

function drawPlane() {
  const { a, b, state } = meta.sets[view.set], kind = testedKind();
  const same = (row) => row.language_a === a && row.language_b === b && row.state === state;
  const is = (row) => same(row) && row.kind === kind;
  const name = kind === "mutual" ? "mutual best matches" : "matches by transport";
  $("plane-title").textContent = `Sound and meaning of ${name}, state ${state}`;
  const known = sentences.some((pair) => pair.ia.some((_, k) => isKnown(pair, k)));
  $("plane").hidden = $("plane-note").hidden = !known;
  const cloud = meta.random.find((row) => row.a === a && row.b === b && row.state === state);
  if (known) paint(meta.planes.find(is), cloud, kind);
  const rows = meta.tests.filter((row) => is(row) && row.n).map(testRow);
  $("tests").replaceChildren(
    ...rows.length
      ? globalThis.table(["", "Matches", "Random", "d", "p, flips", "p, t", "n"], rows, 1)
      : [node("caption", {}, "Neither check was made for these languages.")],
  );
}
const isKnown = (pair, k) => !Number.isNaN(pair.meaning[k]) && !Number.isNaN(pair.sound[k]);
function testRow(row) {
  const meaning = row.check === "meaning"; // else a distance, shown as a likeness
  const p = (value) => value !== null && value < 0.001 ? "< 0.001" : figure(value);
  return [
    meaning ? "means alike" : "sounds alike",
    ...[row.matched, row.random].map((mean) => figure(meaning ? mean : 1 - mean)),
    figure(row.d_z === null || meaning ? row.d_z : -row.d_z, 2),
    p(row.p_permutation),
    p(row.p_t),
    String(row.n),
  ];
}

function paint(found, cloud, kind) {
  const canvas = $("plane").firstElementChild,
    width = $("plane").clientWidth,
    scale = window.devicePixelRatio;
  const height = Math.round(width * 0.86), frame = { left: 38, right: 14, top: 22, bottom: 38 };
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d"), floor = height - frame.bottom;
  const x = (v) => frame.left + v * (width - frame.left - frame.right);
  const y = (v) => floor - Math.max(0, v) * (floor - frame.top);
  pen.scale(scale, scale);
  pen.font = font(12);
  if (cloud) paintCloud(pen, cloud, x, y);
  pen.strokeStyle = css("--rule");
  pen.fillStyle = css("--muted");
  pen.lineWidth = 1;
  for (let v = 0; v <= 1.001; v += 0.2) {
    cross(pen, x(v), y(v), x, y);
    write(pen, "center", v.toFixed(1), x(v), floor + 16);
    write(pen, "right", v.toFixed(1), frame.left - 7, y(v) + 4);
  }
  write(pen, "center", "sounds alike →", (x(0) + x(1)) / 2, height - 5);
  write(pen, "left", "means alike ↑", 2, 11);
  paintPoints(pen, kind, x, y);
  const limits = [found?.sound_limit ?? null, found?.meaning_limit ?? null];
  if (!limits.includes(null)) {
    pen.strokeStyle = css("--muted");
    pen.lineWidth = 1;
    pen.setLineDash([5, 4]);
    cross(pen, x(1 - limits[0]), y(limits[1]), x, y);
    pen.setLineDash([]);
    paintCorners(pen, found, x, y);
  }
  pen.strokeStyle = css("--ink");
  pen.lineWidth = 1.6;
  for (const [px, py, i] of points) if (i === view.at) circle(pen, px, py, 5).stroke();
}
// An upright line and a lying one through a point, over the whole plane.
function cross(pen, px, py, x, y) {
  pen.beginPath();
  pen.moveTo(px, y(0));
  pen.lineTo(px, y(1));
  pen.moveTo(x(0), py);
  pen.lineTo(x(1), py);
  pen.stroke();
}
function circle(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  return pen;
}
function write(pen, align, text, x, y) {
  pen.textAlign = align;
  pen.fillText(text, x, y);
}
function paintCloud(pen, cloud, x, y) {
  const most = Math.max(...cloud.cells), n = meta.side;
  cloud.cells.forEach((count, i) => {
    if (!count) return;
    pen.fillStyle = `rgb(${css("--cloud")} / ${0.05 + 0.3 * Math.sqrt(count / most)})`;
    pen.fillRect(x(i % n / n), y((Math.floor(i / n) + 1) / n), x(1 / n) - x(0), y(0) - y(1 / n));
  });
}
function paintPoints(pen, kind, x, y) {
  points = sentences.flatMap((pair, i) =>
    lines(pair, kind).filter((k) => isKnown(pair, k)).map((
      k,
    ) => [x(pair.sound[k]), y(pair.meaning[k]), i, k, meta.alike[pair.alike[k] ?? 0]])
  );
  pen.globalAlpha = points.length > 3000 ? 0.25 : 0.5;
  for (const [px, py, , , alike] of points) {
    pen.fillStyle = css(`--${alike}`);
    circle(pen, px, py, 3).fill();
  }
  pen.globalAlpha = 1;
}
// In the corners, the share of matches that are alike in meaning, sound, both or neither.
function paintCorners(pen, found, x, y) {
  const total = Math.max(1, found.both + found.meaning + found.sound + found.neither);
  pen.font = `600 ${font(12)}`;
  pen.strokeStyle = css("--surface");
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  const corners = [["meaning", 0.01, 0.965], ["both", 0.99, 0.965], ["sound", 0.99, 0.015], [
    "neither",
    0.01,
    0.015,
  ]];
  for (const [name, px, py] of corners) {
    const alone = name === "meaning" || name === "sound" ? " alone" : "";
    const text = `${name}${alone} ${percent(found[name] / total)}`;
    pen.fillStyle = css(name === "neither" ? "--muted" : `--${name}`);
    pen.textAlign = px < 0.5 ? "left" : "right";
    pen.strokeText(text, x(px), y(py));
    pen.fillText(text, x(px), y(py));
  }
}
function nearest(event) {
  const box = $("plane").firstElementChild.getBoundingClientRect();
  let best = null, least = 14;
  for (const point of points) {
    const far = Math.hypot(point[0] - event.clientX + box.left, point[1] - event.clientY + box.top);
    if (far < least) [best, least] = [point, far];
  }
  return best;
}
