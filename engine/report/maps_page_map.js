// The map: cells and borders, beams between neighbours, or all languages as seen from one.
const line = (points) => `M${points.map((point) => point.join(" ")).join("L")}`;

// Frame of the part of the map that is shown: left, top, width, height.
function shownFrame() {
  const [left, top, right, bottom] = plane.frame;
  const inside = meta.placed.filter((i) => !view.part || meta.languages[i].group === view.part);
  if (!view.part) return [left, top, right - left, bottom - top];
  const of = (axis) => inside.map((i) => plane.places[placeOf.get(i)][axis]);
  const low = [0, 1].map((axis) => Math.min(...of(axis))), high = [0, 1].map((axis) => Math.max(...of(axis)));
  const margin = 0.1 * Math.max(high[0] - low[0], high[1] - low[1]) + 20;
  let [width, height] = [0, 1].map((axis) => high[axis] - low[axis] + 2 * margin);
  const shape = (right - left) / (bottom - top);
  [width, height] = [Math.max(width, height * shape), Math.max(height, width / shape)];
  return [(low[0] + high[0] - width) / 2, (low[1] + high[1] - height) / 2, width, height];
}

function drawMap() {
  const box = shownFrame(), narrowest = L > 60 && !printing ? 720 : 0; // narrower, it scrolls
  const pixels = Math.max(narrowest, $("map").clientWidth || 900), unit = box[2] / pixels;
  const svg = vector("svg", {
    viewBox: box.join(" "),
    role: "img",
    "aria-label": $("map-title").textContent,
    style: `min-width: ${narrowest}px`,
  });
  svg.append(vector("path", { class: "land", d: blocks.land }));
  const colors = view.kind === "from" ? meta.languages.map((_, i) => seenFrom(i)) : hues();
  if (view.kind !== "beams") {
    const opacity = view.kind === "from" ? 0.8 : 0.42;
    for (const i of meta.placed) {
      const cell = { class: "cell", d: `${line(plane.cells[placeOf.get(i)])}Z`, "fill-opacity": opacity };
      svg.append(vector("path", { ...cell, fill: colors[i] }));
    }
    svg.append(vector("path", { class: "coast", d: blocks.land }));
  }
  const thin = plane.borders.map(([a, b, ...ends]) => ({ a: meta.placed[a], b: meta.placed[b], ends }));
  if (view.kind !== "from") {
    const sorted = thin.map((border) => ({ ...border, d: far(border.a, border.b) }));
    sorted.sort((x, y) => (view.kind === "borders" ? 1 : -1) * (x.d - y.d));
    for (const border of sorted) svg.append(view.kind === "borders" ? isogloss(border) : beam(border));
  }
  for (const i of meta.placed) {
    const [cx, cy] = plane.places[placeOf.get(i)];
    const chosen = view.kind === "from" && i === view.from;
    svg.append(
      vector("circle", {
        cx,
        cy,
        r: (chosen ? 6 : 3.5) * unit,
        fill: chosen ? css("--chance") : css("--ink"),
      }),
    );
  }
  const labels = placeLabels(box, unit);
  svg.append(...labels);
  $("map").replaceChildren(svg);
  svg.addEventListener("pointermove", (event) => pointMap(event, box));
  svg.addEventListener("pointerleave", hideTip);
  svg.addEventListener("click", (event) => {
    const i = under(event, box);
    if (i !== undefined) change({ from: i });
  });
  drawLegend();
}
const widthOf = (t) => 0.8 + 7.2 * Math.max(0, Math.min(1, t));
function isogloss({ ends, d }) {
  const path = line([ends.slice(0, 2), ends.slice(2)]);
  if (Number.isNaN(d)) return vector("path", { class: "line unknown", d: path });
  return vector("path", {
    class: "line",
    d: path,
    stroke: ramp(share(d)),
    "stroke-width": widthOf(share(d)),
  });
}
function beam({ a, b, d }) {
  const path = line([a, b].map((i) => plane.places[placeOf.get(i)]));
  if (Number.isNaN(d)) return vector("path", { class: "line unknown", d: path });
  const near = 1 - share(d);
  return vector("path", { class: "line", d: path, stroke: ramp(near), "stroke-width": widthOf(near) });
}
function seenFrom(i) {
  if (i === view.from) return css("--chance");
  const d = far(view.from, i);
  return Number.isNaN(d) ? css("--hatch") : ramp(1 - share(d));
}

// Names beside the places, where there is room; the chosen language and those with larger cells come first.
function placeLabels(box, unit) {
  const size = 12 * unit, taken = [], labels = [];
  const room = (i) => {
    const cell = plane.cells[placeOf.get(i)], xs = cell.map(([x]) => x), ys = cell.map(([, y]) => y);
    return (i === view.from ? 1e9 : 0) +
      (Math.max(...xs) - Math.min(...xs)) * (Math.max(...ys) - Math.min(...ys));
  };
  const points = meta.placed.map((i) => plane.places[placeOf.get(i)]);
  for (const [x, y] of points) taken.push([x - 3 * unit, y - 3 * unit, x + 3 * unit, y + 3 * unit]);
  for (const i of [...meta.placed].sort((a, b) => room(b) - room(a))) {
    const [x, y] = plane.places[placeOf.get(i)], width = unit * widthOfText(language(i), 12), gap = 6 * unit;
    const starts = [
      [x + gap, y + 0.35 * size],
      [x - gap - width, y + 0.35 * size],
      [x - width / 2, y - gap],
      [
        x - width / 2,
        y + gap + 0.8 * size,
      ],
    ];
    for (const [left, base] of starts) {
      const mine = [left, base - 0.85 * size, left + width, base + 0.2 * size];
      const outside = left < box[0] || left + width > box[0] + box[2] || mine[1] < box[1] ||
        mine[3] > box[1] + box[3];
      if (
        outside || taken.some((t) => mine[0] < t[2] && t[0] < mine[2] && mine[1] < t[3] && t[1] < mine[3])
      ) continue;
      taken.push(mine);
      const style = `font-size: ${size}px; stroke-width: ${3 * unit}px`;
      labels.push(vector("text", { x: left, y: base, style }, language(i)));
      break;
    }
  }
  return labels;
}

function under(event, [left, top, width, height]) {
  const frame = $("map").firstChild.getBoundingClientRect();
  const x = left + (event.clientX - frame.left) / frame.width * width;
  const y = top + (event.clientY - frame.top) / frame.height * height;
  const away = (i) => Math.hypot(...plane.places[placeOf.get(i)].map((c, axis) => c - [x, y][axis]));
  return meta.placed.reduce((best, i) => best === undefined || away(i) < away(best) ? i : best, undefined);
}
function pointMap(event, box) {
  const i = under(event, box), { family, branch, whisper } = meta.languages[i];
  const rows = neighbours(i).slice(0, 8).map(([j, d]) => [language(j), percent(1 - d)]);
  const note = `${branch}, ${family}${whisper ? "" : "; no token of Whisper"}. R@1 with ${
    view.kind === "from" ? "the language chosen and with " : ""
  }its neighbours:`;
  if (view.kind === "from" && i !== view.from) {
    rows.unshift([language(view.from), percent(1 - far(view.from, i))]);
  }
  tip(event.clientX, event.clientY, language(i), rows, note);
}
// Languages whose cells touch that of one, the nearest first.
function neighbours(i) {
  const k = placeOf.get(i);
  const found = plane.borders.flatMap(([a, b]) => a === k ? [b] : b === k ? [a] : []).map((a) =>
    meta.placed[a]
  );
  return found.map((j) => [j, far(i, j)]).sort((x, y) => x[1] - y[1]);
}

function drawLegend() {
  const steps = Array.from({ length: 5 }, (_, k) => least() + (1 - least()) * k / 4);
  const sample = (d) => {
    const t = view.kind === "borders" ? share(d) : 1 - share(d);
    const width = view.kind === "from" ? 10 : widthOf(t);
    const path = vector("path", { d: "M2 7H32", stroke: ramp(t), "stroke-width": width });
    return node("span", {}, vector("svg", { viewBox: "0 0 34 14" }, path), ` ${percent(1 - d, 0)}`);
  };
  const unknown = meta.whole ? "" : node("span", {}, "dashed or grey: unknown");
  const words = {
    borders: "R@1 across a border: ",
    beams: "R@1 of two neighbours: ",
    from: `R@1 with ${language(view.from)}: `,
  };
  $("legend").replaceChildren(
    node("div", { class: "swatches" }, node("span", {}, words[view.kind]), ...steps.map(sample), unknown),
  );
}
