// Charts of the page of several grids: curves of all of them, and the difference of two.

const pen = node("canvas").getContext("2d"); // measures names

// A chart of lines, each { name, x, values, bands, bars, color, dash, dots, states }; x runs from 0 to 1.
function chart(id, lines, { label, under, ticks, floor, signed, tipTitle }) {
  const width = printing ? 600 : Math.max(280, $(id).clientWidth);
  const height = Math.max(250, Math.min(380, width * 0.56));
  pen.font = font(12);
  const longest = Math.max(0, ...lines.map(({ name }) => name ? pen.measureText(name).width : 0));
  const frame = { left: 46, right: width - Math.min(width / 3, longest + 18), top: 12, bottom: height - 40 };
  const seen = lines.flatMap(({ values, bands, bars }) => [values, bands ?? [], bars ?? []].flat(3));
  const known = seen.filter((v) => !Number.isNaN(v));
  const top = Math.max(0.1, Math.ceil(Math.max(0, ...known) * 10 - 1e-9) / 10);
  const low = floor ?? Math.min(0, Math.floor(Math.min(0, ...known) * 10 + 1e-9) / 10);
  const x = (at) => frame.left + at * (frame.right - frame.left);
  const y = (v) => frame.bottom - (v - low) / (top - low) * (frame.bottom - frame.top);
  const svg = vector("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  const write = (text, at, to, anchor) =>
    svg.append(vector("text", { x: at, y: to, "text-anchor": anchor }, text));
  const step = top - low > 0.5 ? 0.2 : top - low > 0.2 ? 0.1 : 0.05;
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= top + 1e-9; v += step) {
    const zero = signed && Math.abs(v) < 1e-9;
    const place = { x1: frame.left, x2: frame.right, y1: y(v), y2: y(v) };
    svg.append(vector("line", { ...place, stroke: css(zero ? "--muted" : "--rule") }));
    write(signed ? zero ? "0" : points(v).replace(".0", "") : percent(v, 0), frame.left - 8, y(v) + 4, "end");
  }
  let free = Infinity; // from the last tick backwards, those that have room for their names
  for (const [at, text] of ticks.toReversed()) {
    if (x(at) + 9 > free) continue;
    write(text, x(at), frame.bottom + 18, "middle");
    free = x(at) - 9 - 3 * text.length;
  }
  write(under, (frame.left + frame.right) / 2, height - 4, "middle");
  const ends = [];
  for (const line of lines) {
    drawSeries(svg, line, x, y);
    const last = line.values.findLast((v) => !Number.isNaN(v));
    if (line.name && last !== undefined) ends.push({ at: y(last), text: line.name, color: line.color });
  }
  drawNames(svg, ends, frame);
  const nearest = (line, at) =>
    line.x.reduce((best, place, s) => Math.abs(x(place) - at) < Math.abs(x(line.x[best]) - at) ? s : best, 0);
  const placeOf = (event) => {
    const box = svg.getBoundingClientRect();
    return (event.clientX - box.left) / box.width * width;
  };
  svg.addEventListener("pointermove", (event) => {
    const at = placeOf(event);
    const rows = lines.filter(({ rowOf }) => rowOf).map((line) => line.rowOf(nearest(line, at)));
    tip(event.clientX, event.clientY, tipTitle, rows);
  });
  svg.addEventListener("pointerleave", hideTip);
  svg.addEventListener("click", (event) => {
    const line = lines[0], name = line?.states[nearest(line, placeOf(event))];
    if (two().states.includes(name)) change({ state: name });
  });
  $(id).replaceChildren(svg);
}
function drawSeries(svg, { x: places, values, bands, bars, color, dash, dots }, x, y) {
  const at = (s) => x(places[s]), stroke = css(color);
  const known = values.map((_, s) => s).filter((s) => !Number.isNaN(values[s]));
  for (const [low, high] of bands ?? []) {
    const edge = (end, states) => states.map((s) => `${at(s)},${y(end[s])}`);
    const corners = [...edge(high, known), ...edge(low, known.toReversed())].join(" ");
    svg.append(vector("polygon", { points: corners, fill: stroke, opacity: 0.14 }));
  }
  if (bars) drawBars(svg, bars, stroke, at, y);
  const look = { fill: "none", stroke, "stroke-width": dash ? 1.4 : 2.2, "stroke-dasharray": dash ?? "none" };
  svg.append(vector("path", { d: pathOf(values, at, y), "stroke-linejoin": "round", ...look }));
  for (const s of dots ? known : []) {
    const place = { cx: at(s), cy: y(values[s]), r: 4, stroke, "stroke-width": 1.6 };
    svg.append(vector("circle", { ...place, fill: dots[s] ? stroke : css("--surface") }));
  }
}

const colorOf = (g) => `--line-${g % 7}`;
function curveLines() {
  const name = scoring(), lines = [];
  meta.grids.forEach((grid, g) => {
    const [values, low, high] = meta.ends.means.slice(0, 3).map((column) => meansOf(grid, name, column));
    const { across: x, states, label } = grid, color = colorOf(g);
    const rowOf = (s) => [`${label}, state ${states[s]}`, `${percent(values[s])} [${ends(low[s], high[s])}]`];
    lines.push({ name: label, grid, x, values, bands: [[low, high]], color, states, rowOf });
    const alone = meansOf(grid, meta.baseline, "recall_at_1");
    if (alone.length) lines.push({ x, values: alone, color, dash: "1 4", states });
  });
  return lines.filter(({ values }) => values.length);
}
const ends = (low, high) => [low, high].map((end) => (100 * end).toFixed(1)).join(", ");

function drawCurves() {
  const title = `Mean R@1 of ${scoringName()}, ${meta.grids.map(({ label }) => label).join(" and ")}`;
  $("curve-title").textContent = title;
  const ticks = [[0, "first state"], [0.5, "half"], [1, "last"]];
  const tipTitle = `Mean R@1, ${scoringName()}`;
  chart("curve", curveLines(), { label: title, under: "depth in the encoder", ticks, floor: 0, tipTitle });
}
function drawGain() {
  const [one, other] = sides().map(({ label }) => label), { states } = two();
  const title = `${one} minus ${other}: difference of mean R@1, ${scoringName()}`;
  $("gain-title").textContent = title;
  const columns = ["difference", "sentences_low", "sentences_high", "languages_low", "languages_high", "q"];
  const all = columns.map(differencesOf), [values, ...rest] = all.map((column) => column.slice(0, -1));
  const [low, high, languagesLow, languagesHigh, q] = rest, grid = sides()[0];
  const x = states.map((name) => grid.across[grid.states.indexOf(name)]);
  const rowOf = (
    s,
  ) => [`state ${states[s]}`, `${points(values[s])} [${ends(low[s], high[s])}], q ${qText(q[s])}`];
  const bands = [[low, high]], bars = [languagesLow, languagesHigh], dots = q.map((each) => each < 0.05);
  const line = { name: "", x, values, bands, bars, color: "--ink", dots, states, rowOf };
  const under = `encoder state, by its depth in ${one}`, ticks = states.map((name, s) => [x[s], name]);
  const tipTitle = `${one} minus ${other}, in points`;
  chart("gain", values.length ? [line] : [], { label: title, under, ticks, signed: true, tipTitle });
  const best = all.map((column) => number(column.at(-1))), [gain, bestLow, bestHigh, , , bestQ] = best;
  $("gain-best").textContent = Number.isNaN(gain)
    ? "No language pair is wholly computed in both grids, so no mean is known."
    : `At each pair's best states: ${points(gain)} points [${ends(bestLow, bestHigh)}], q ${qText(bestQ)}. ` +
      "Best states are chosen on the same sentences, which flatters both sides.";
}

// The same numbers as rows, for tables and files.
function curveRows() {
  const rows = meta.grids.flatMap((grid) => {
    const columns = meta.ends.means.map((column) => meansOf(grid, scoring(), column));
    const alone = meansOf(grid, meta.baseline, "recall_at_1");
    return columns[0].map((_, s) => [
      grid.label,
      grid.states[s],
      ...columns.map((column) => column[s]),
      alone[s] ?? NaN,
    ]);
  });
  return [["grid", "state", ...meta.ends.means, "duration alone"], ...rows];
}
function gainRows() {
  const columns = meta.ends.differences.map(differencesOf), states = [...two().states, "best of each pair"];
  return [
    ["state", ...meta.ends.differences],
    ...columns[0].map((_, s) => [states[s], ...columns.map((c) => c[s])]),
  ];
}
const HEADS = {
  recall_at_1: "R@1",
  other_recall_at_1: "R@1 of the other",
  difference: "Difference",
  sentences_low: "Over sentences, from",
  sentences_high: "to",
  languages_low: "Over languages, from",
  languages_high: "to",
};
function rowsAsTable(id, [heads, ...rows], texts) {
  const written = (value, k) => {
    if (k < texts) return value;
    if (Number.isNaN(value)) return "–";
    if (["p", "q"].includes(heads[k])) return qText(value);
    return id === "gain" && k > texts + 1 ? points(value) : percent(value);
  };
  const names = heads.map((head) => HEADS[head] ?? head);
  $(`${id}-table`).replaceChildren(...globalThis.table(names, rows.map((row) => row.map(written)), texts));
}
