// The page of the control job: what is chosen, and its figures.
const { tables, drawSorted, addTools, bring, addressOfTables, readTables } = globalThis.forTables;
const view = { pair: null, direction: 0, state: 0 };
const pen = document.createElement("canvas").getContext("2d"); // measures names
const known = (value) => value !== null && value !== undefined;
const COLORS = { sound: "--sound", meaning: "--meaning", length: "--both", whole: "--ink" };
const share = (value) => known(value) ? percent(value) : "–";
const between = (low, high) => known(low) ? `${percent(low)} to ${percent(high)}` : "–";

// Rows of the chosen pair and direction for which all named columns have the given values.
function rows(wanted) {
  const { control } = view.pair, direction = meta.directions[view.at][view.direction];
  return control.filter((row) =>
    row.direction === direction && Object.entries(wanted).every(([key, value]) => row[key] === value)
  );
}
const along = (wanted, column) => meta.states.map((state) => rows({ ...wanted, state })[0]?.[column] ?? null);

// Lines over places `at` their true distances; each {name, values, low, high, color, dash, thin, more}, where
// `more` has further columns for the tip by name.
function plot(id, { places, at, under, lines, level, label }) {
  const width = Math.max(300, $(id).clientWidth), height = 300;
  pen.font = font(12);
  const longest = Math.max(...lines.map(({ name }) => pen.measureText(name).width));
  const frame = { left: 46, right: width - longest - 16, top: 12, bottom: height - 40 };
  const all = lines.flatMap(({ values, low, high }) => [...values, ...(low ?? []), ...(high ?? [])]);
  const seen = [0, level, ...all].filter(known);
  const top = Math.max(0.1, Math.ceil(Math.max(...seen) * 10) / 10);
  const floor = Math.min(0, Math.floor(Math.min(...seen) * 10) / 10);
  const far = at.at(-1) - at[0];
  const x = (k) => frame.left + (far > 0 ? (at[k] - at[0]) / far : 0.5) * (frame.right - frame.left);
  const y = (v) => frame.bottom - (v - floor) / (top - floor) * (frame.bottom - frame.top);
  const svg = vector("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  const write = (text, left, to, anchor, look = {}) =>
    svg.append(vector("text", { x: left, y: to, "text-anchor": anchor, ...look }, text));
  const step = top - floor > 0.5 ? 0.2 : 0.1;
  for (let v = Math.ceil(floor / step) * step; v <= top + 1e-9; v += step) {
    const place = { x1: frame.left, x2: frame.right, y1: y(v), y2: y(v) };
    svg.append(vector("line", { ...place, stroke: css("--rule") }));
    write(id === "factors" ? v.toFixed(1) : percent(v, 0), frame.left - 8, y(v) + 4, "end");
  }
  const every = Math.ceil(places.length / 14), last = places.length - 1;
  // The last name always stands; others give way to it.
  const shown = (k) => k === last || k % every === 0 && x(last) - x(k) > 34;
  places.forEach((name, k) => shown(k) && write(name, x(k), frame.bottom + 18, "middle"));
  write(under, (frame.left + frame.right) / 2, height - 4, "middle");
  if (known(level)) {
    const place = { x1: frame.left, x2: frame.right, y1: y(level), y2: y(level) };
    svg.append(vector("line", { ...place, stroke: css("--chance"), "stroke-dasharray": "1 3" }));
  }
  const ends = [];
  for (const { name, values, low, high, color, dash, thin } of lines) {
    const there = values.map((_, k) => k).filter((k) => known(values[k]));
    if (!there.length) continue;
    const stroke = css(color);
    const edge = (end, order) => order.map((k) => `${x(k)},${y(end[k])}`);
    if (low && there.every((k) => known(low[k]))) {
      const points = [...edge(high, there), ...edge(low, there.toReversed())].join(" ");
      svg.append(vector("polygon", { points, fill: stroke, opacity: 0.14 }));
    }
    const path = edge(values, there).map((point, k) => `${k ? "L" : "M"}${point}`).join("");
    const look = { fill: "none", stroke, "stroke-width": thin ? 1 : 2, "stroke-dasharray": dash ?? "none" };
    svg.append(vector("path", { d: path, ...look }));
    ends.push({ end: y(values[there.at(-1)]), name, color });
  }
  let lowest = frame.bottom + 6;
  for (const { end, name, color } of ends.sort((a, b) => b.end - a.end)) {
    const to = Math.min(end, lowest);
    write(name, frame.right + 8, to + 4, "start", { style: `fill: var(${color})` });
    lowest = to - 14;
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), here = (event.clientX - box.left) / box.width * width;
    const gap = (k) => Math.abs(x(k) - here);
    const k = places.reduce((best, _, i) => gap(i) < gap(best) ? i : best, 0);
    const text = (v) => !known(v) ? "–" : id === "factors" ? v.toFixed(2) : percent(v);
    const rows = lines.flatMap(({ name, values, more = {} }) => [
      [name, text(values[k])],
      ...Object.entries(more).map(([what, held]) => [what, held(k, text)]),
    ]);
    tip(event.clientX, event.clientY, `${under} ${places[k]}`, rows);
  });
  svg.addEventListener("pointerleave", hideTip);
  $(id).replaceChildren(svg);
}

// Rows of a tip: the difference from the other encoder with its interval, whose columns `of` gives.
function apart(name, of) {
  const [difference, low, high] = ["difference", "difference_low", "difference_high"].map(of);
  const ends = (k, text) => known(low[k]) ? ` (${text(low[k])} to ${text(high[k])})` : "";
  return { [name]: (k, text) => `${text(difference[k])}${ends(k, text)}` };
}

function drawFactors() {
  const { factors } = view.pair;
  const values = (factor, column) =>
    meta.states.map((state) =>
      factors.find((row) => row.factor === factor && row.state === state)?.[column] ?? null
    );
  const lines = meta.factors.flatMap((factor) => {
    const color = COLORS[factor],
      [weight, low, high, other] = ["weight", "ci_low", "ci_high", "other_weight"]
        .map((column) => values(factor, column));
    const own = { name: factor, values: weight, low, high, color };
    if (!other.some(known)) return [own];
    const more = apart("difference", (column) => values(factor, `other_${column}`));
    return [own, { name: `${factor}, other`, values: other, color, dash: "5 4", more }];
  });
  const label = $("factors-title").textContent;
  plot("factors", { places: meta.states, at: meta.depths, under: "state", lines, level: null, label });
}

function drawPartial() {
  const wanted = (scores) => ({ scores, removed: "nothing" });
  const one = (name, scores, color, more = {}) => ({
    name,
    values: along(wanted(scores), "recall_at_1"),
    color,
    ...more,
  });
  const another = (name, scores, color) => ({
    name,
    values: along(wanted(scores), "other_recall_at_1"),
    color,
    dash: "5 4",
    more: apart("difference", (column) => along(wanted(scores), `other_${column}`)),
  });
  const whole = wanted("as they are");
  const band = { low: along(whole, "ci_low"), high: along(whole, "ci_high") };
  const lines = [one("as they are", "as they are", COLORS.whole, band)];
  if (meta.other) {
    lines.push(another("other encoder", "as they are", COLORS.whole));
  }
  for (const factor of meta.factors) {
    lines.push(one(`without ${factor}`, `without ${factor}`, COLORS[factor]));
    if (meta.other) lines.push(another(`without ${factor}, other`, `without ${factor}`, COLORS[factor]));
    lines.push(one(`${factor} alone`, `${factor} alone`, COLORS[factor], { thin: true, dash: "2 3" }));
  }
  const level = rows(whole)[0]?.chance ?? null;
  plot("partial", {
    places: meta.states,
    at: meta.depths,
    under: "state",
    lines,
    level,
    label: $("partial-title").textContent,
  });
}

function drawCurve() {
  const state = meta.states[view.state];
  const forms = ["queries", "both"].map((form) =>
    rows({ state, scores: "as they are", removed: "alike", form }).sort((a, b) => a.alike - b.alike)
  );
  if (!forms[0].length) {
    $("curve").replaceChildren(node("p", { class: "note" }, "Without phones there is no curve."));
    return;
  }
  const lines = forms.flatMap((held, k) => {
    const column = (name) => held.map((row) => row[name] ?? null), color = k ? "--line-3" : "--line-0";
    const name = k ? "both sides" : "queries only";
    const band = { low: column("random_low"), high: column("random_high") };
    const own = { name, values: column("recall_at_1"), color };
    const made = [own, { name: `${name}, random`, values: column("expected"), color, dash: "2 3", ...band }];
    if (meta.other) {
      made.push({ name: `${name}, other`, values: column("other_recall_at_1"), color, dash: "5 4" });
    }
    return made;
  });
  const places = forms[0].map((row) => row.alike.toFixed(2));
  plot("curve", {
    places,
    at: forms[0].map((row) => row.alike),
    under: "words alike from",
    lines,
    level: null,
    label: $("curve-title").textContent,
  });
}
