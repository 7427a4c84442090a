// The map: language x language, on a canvas. Rows are queries, columns candidates.
const { shades } = globalThis.forFigures;
function ramp() {
  const at = shades(printing);
  return Array.from({ length: 256 }, (_, i) => at(i / 255));
}
function inkOn([r, g, b]) {
  const linear = [r, g, b].map((x) => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.2 ? "#12161a" : "#ffffff";
}
function hatch(context, crossed, scale) {
  const tile = node("canvas"), size = Math.round(6 * scale);
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.fillStyle = css("--surface");
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = css("--hatch");
  pen.lineWidth = 1.1 * scale;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift - 1, size + 1);
    pen.lineTo(shift + size + 1, -1);
    if (crossed) {
      pen.moveTo(shift - 1, -1);
      pen.lineTo(shift + size + 1, size + 1);
    }
  }
  pen.stroke();
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new window.DOMMatrix().scale(6 / size));
  return pattern;
}

const orderNow = () =>
  view.order === "group" ? meta.byGroup : meta.byCluster[scoringOf(view.measure)][view.state];

const TITLE = 20; // height of an axis title

function measureMap(pen) {
  const order = orderNow();
  const groups = []; // [name, first, last + 1] by position
  if (view.order === "group") {
    order.forEach((i, at) => {
      const name = meta.languages[i].group;
      if (!groups.length || groups.at(-1)[0] !== name) groups.push([name, at, at + 1]);
      else groups.at(-1)[2] = at + 1;
    });
  }
  const grouped = groups.length > 1;
  const available = $("figures").clientWidth, bracket = (grouped ? 44 : 0) + TITLE;
  let room = window.innerWidth < 1020 || MANY ? available - 44 : Math.max(560, available - 460);
  // On paper every second name of many languages stands on the other side, where it has the room of two cells.
  const sides = printing && MANY ? 2 : 1;
  if (printing) room = sides > 1 ? 680 : 600;
  let cell = 8, widest = 0, size = 8;
  for (let tries = 0; tries < 3; tries++) { // label width depends on cell and the other way round
    size = Math.max(7, Math.min(14, cell * 0.86 * sides));
    pen.font = font(size);
    widest = Math.ceil(Math.max(...order.map((i) => pen.measureText(language(i)).width))) + 8;
    const most = Math.min(132, Math.max(660 / L, 12));
    cell = Math.max(printing ? 4 : 8, Math.min(most, (room - sides * widest - bracket) / L));
    const pixels = printing ? 3 : cell > 16 ? 1 : window.devicePixelRatio;
    cell = Math.floor(cell * pixels) / pixels;
  }
  const lying = cell > widest, top = TITLE + (lying ? size + 14 : widest + 2);
  const gap = cell > 40 ? 2 : cell > 16 ? 1 : 0;
  const beyond = L * cell + 2 + (sides > 1 ? widest : 0); // right ends of rows, lower ends of columns
  const left = widest + bracket, width = left + beyond, height = top + beyond;
  return { order, groups: grouped ? groups : [], cell, sides, left, size, lying, top, gap, width, height };
}

function drawMap() {
  const pen = canvas.getContext("2d"), scale = Math.max(window.devicePixelRatio, printing ? 3 : 1);
  map = measureMap(pen);
  const { width, height } = map;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  paintMap(pen, scale);
  drawLegend(ramp(), top(view.figure));
}
// Cells, labels and the outline of the pair selected.
function paintMap(pen, scale) {
  const { order, cell: side, left, top: above, gap } = map;
  const colors = ramp(), highest = top(view.figure);
  const lined = hatch(pen, false, scale), crossed = hatch(pen, true, scale), plain = css("--plain");
  order.forEach((query, row) =>
    order.forEach((candidate, column) => {
      const { p, value: number } = cell(query, candidate);
      const x = left + column * side,
        y = above + row * side,
        known = p !== undefined && !Number.isNaN(number);
      const rgb = known ? colors[Math.min(255, Math.round(255 * number / highest))] : null;
      const unknown = p === undefined ? plain : meta.n[p] ? lined : crossed;
      pen.fillStyle = known ? `rgb(${rgb})` : unknown;
      pen.fillRect(x, y, side - gap, side - gap);
      const middle = (side - gap) / 2;
      if (known && side >= 27) writeNumber(pen, number, x + middle, y + middle, inkOn(rgb), query, candidate);
    })
  );
  drawLabels(pen);
  outlineSelected(pen);
}

function writeNumber(pen, number, x, y, ink, query, candidate) {
  const side = map.cell, { figure, measure, state } = view, { p, direction } = cell(query, candidate);
  const percents = (100 * number).toFixed(side >= 56 ? 1 : 0);
  const text = figure === "mrr" ? number.toFixed(2).replace(/^0/, "") : percents;
  const wide = side >= 90 && figure === "recall_at_1" && view.view === "directed";
  const ends = wide ? interval(measure, state, p, direction) : "";
  pen.fillStyle = ink;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.font = font(Math.min(22, Math.max(11, side / 4)));
  pen.fillText(text, x, y - (ends ? 9 : 0));
  pen.font = font(12);
  pen.fillText(ends, x, y + 13);
}

function drawLabels(pen) {
  const { order, groups, cell: side, sides, left, top: above, size, lying, gap } = map;
  pen.font = font(size);
  pen.fillStyle = css("--ink");
  pen.textBaseline = "middle";
  order.forEach((i, at) => {
    const middle = at * side + (side - gap) / 2, far = at % sides, end = far * (L * side + 10) - 6;
    pen.textAlign = far ? "left" : "right";
    pen.fillText(language(i), left + end, above + middle);
    pen.save();
    pen.translate(left + middle, above + end);
    if (!lying) pen.rotate(-Math.PI / 2);
    pen.textAlign = lying ? "center" : far ? "right" : "left";
    pen.fillText(language(i), 0, lying ? -size / 2 : 0);
    pen.restore();
  });
  drawTitles(pen);
  for (const [name, first, last] of groups) {
    pen.fillStyle = css("--surface");
    if (first) {
      pen.fillRect(left, above + first * side - gap / 2 - 1, L * side, 2);
      pen.fillRect(left + first * side - gap / 2 - 1, above, 2, L * side);
    }
    pen.fillStyle = css("--rule");
    pen.fillRect(TITLE + 40, above + first * side + 1, 2, (last - first) * side - gap - 2);
    pen.save();
    pen.translate(TITLE + 36, above + (first + last) * side / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillStyle = css("--muted");
    pen.font = font(10);
    pen.textAlign = "center";
    const lines = wrap(pen, name, (last - first) * side);
    const fits = lines.every((line) => pen.measureText(line).width < (last - first) * side + 2);
    if (fits) lines.forEach((line, k) => pen.fillText(line, 0, -6 - 11 * (lines.length - 1 - k)));
    pen.restore();
  }
}
// Titles of the axes: who asks, who answers.
function drawTitles(pen) {
  const { left, top: above, cell: side } = map, middle = L * side / 2;
  pen.font = font(13);
  pen.fillStyle = css("--muted");
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText("answers", left + middle, 8);
  pen.save();
  pen.translate(8, above + middle);
  pen.rotate(-Math.PI / 2);
  pen.fillText("asks", 0, 0);
  pen.restore();
}
function wrap(pen, text, width) {
  const lines = [""];
  for (const word of text.split(/(?<=[ /])/)) {
    if (lines.at(-1) && pen.measureText(lines.at(-1) + word.trimEnd()).width > width) lines.push("");
    lines[lines.length - 1] += word;
  }
  return lines.slice(0, 3);
}

function outlineSelected(pen) {
  if (view.query < 0) return;
  const { order, cell: side, left, top: above, gap } = map;
  for (
    const [query, candidate, dash] of [[view.query, view.candidate, []], [view.candidate, view.query, [3, 3]]]
  ) {
    const x = left + order.indexOf(candidate) * side, y = above + order.indexOf(query) * side;
    pen.setLineDash(dash);
    pen.strokeStyle = css("--chance");
    pen.lineWidth = 2.5;
    pen.strokeRect(x - 0.5, y - 0.5, side - gap + 1, side - gap + 1);
  }
  pen.setLineDash([]);
}

function drawLegend(colors, highest) {
  const gradient = [0, 32, 64, 96, 128, 160, 192, 224, 255].map((i) => `rgb(${colors[i]})`).join(", ");
  const bar = node("i", { style: `background: linear-gradient(90deg, ${gradient})` });
  const scale = node("div", {
    class: "scale",
    role: "img",
    "aria-label": `Colours run from 0 to ${shown(highest)}`,
  }, bar);
  for (let k = 0; k <= 4; k++) {
    const text = view.figure === "mrr"
      ? (highest * k / 4).toFixed(2)
      : `${Math.round(1000 * highest * k / 4) / 10}%`;
    scale.append(node("span", { style: `left: ${25 * k}%` }, text));
  }
  const guess = chance(view.figure, typicalN);
  if (typicalN) {
    scale.append(
      node(
        "span",
        { class: "chance", style: `left: ${Math.min(100, 100 * guess / highest)}%` },
        `chance ${shown(guess)}`,
      ),
    );
  }
  const keys = [[node("canvas"), "not computed yet", false], [node("canvas"), "no sentence in common", true]];
  const present = [0, 0];
  for (let p = 0; p < P; p++) {
    present[meta.n[p] ? 0 : 1] += Number.isNaN(value("recall_at_1", view.measure, view.state, p, 0));
  }
  $("legend").replaceChildren(
    scale,
    ...keys.filter((_, k) => present[k]).map(([tile, text, crossed]) => {
      tile.width = tile.height = 18 * window.devicePixelRatio;
      tile.style.width = tile.style.height = "18px";
      const pen = tile.getContext("2d");
      pen.scale(window.devicePixelRatio, window.devicePixelRatio);
      pen.fillStyle = hatch(pen, crossed, window.devicePixelRatio);
      pen.fillRect(0, 0, 18, 18);
      return node("span", { class: "key" }, tile, text);
    }),
  );
}
