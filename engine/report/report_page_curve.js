// Curves along the states.
const NAMED = 20; // lines of languages that have room for a name
function selected() {
  const at = view.query < 0 ? -1 : pairAt[view.query * L + view.candidate];
  return at < 0 ? null : { p: at >> 1, direction: at & 1 };
}
// Lines of every measure: of the selected pair, else the mean; of the measure shown, what lies around it, too.
function series() {
  const { measure, figure } = view, pair = selected();
  if (view.lines) return languageSeries();
  return meta.measures.map(({ label }, m) => {
    const along = (f, p, d) => meta.states.map((_, s) => value(f, m, s, p, d)), main = m === measure;
    if (pair && main) return { label, m, lines: pairLines(along, pair, label) };
    const means = () => meta.states.map((_, s) => both(figure, m, s, pair.p));
    if (pair) return { label, m, lines: [{ values: means(), name: `${label}, both directions` }] };
    const states = overPairs(figure, m);
    const lines = [{
      values: states.map((s) => s.mean),
      ...(main ? meanEdges(m, states) : {}),
      name: label,
    }];
    for (let p = 0; main && FEW && p < P; p++) {
      for (const d of [0, 1]) {
        const name = `${label}, ${wayOf(p, d)}`;
        const short = (d ? meta.pairs[p].toReversed() : meta.pairs[p]).map((i) => meta.languages[i].code);
        const look = { faint: true, dash: d ? "6 4" : "", short: short.join(" → ") };
        lines.push({ values: along(figure, p, d), ...look, name });
      }
    }
    return { label, m, lines };
  });
}
// Ends along the states: of R@1 the intervals of its mean, a band over sentences and bars over languages, since
// either may be the wider; of other figures a band, the middle 80% of many pairs.
function meanEdges(m, states) {
  const edges = (ends) => [0, 1].map((end) => ends.map((pair) => pair[end]));
  if (view.figure !== "recall_at_1") return { bands: FEW ? [] : [edges(states.map(spread))] };
  const [band, bars] = [0, 1].map((over) => edges(meta.states.map((_, s) => meanEnds(m, s, over))));
  return { bands: [band], bars };
}
function bandsText() {
  if (view.lines) return "";
  const mean = view.figure === "recall_at_1";
  const known = (over) => meta.states.some((_, s) => meanEnds(view.measure, s, over).every(Number.isFinite));
  if (selected()) return mean ? "Bands: 95% intervals over sentences." : "";
  if (!mean) return FEW ? "" : "Band: the middle 80% of the pairs.";
  const looks = ["Band: 95% interval of the mean over sentences.", "Bars: over languages."];
  return looks.filter((_, over) => known(over)).join(" ");
}
// A line for each language that the words name: as answer to the query language selected, or asking all others.
function languageSeries() {
  const { measure: m, figure, query } = view;
  const picked = meta.byGroup.filter((i) => i !== query && matches(about(i), view.lines));
  const found = picked.map((i) => {
    const ways = meta.byGroup.map((k) =>
      query < 0 ? pairAt[i * L + k] : k === query ? pairAt[query * L + i] : -1
    )
      .filter((at) => at >= 0);
    const values = meta.states.map((_, s) => {
      const known = ways.map((at) => value(figure, m, s, at >> 1, at & 1)).filter((v) => !Number.isNaN(v));
      return known.length ? known.reduce((a, b) => a + b, 0) / known.length : NaN;
    });
    const name = query < 0 ? `${language(i)} asks` : `${language(query)} → ${language(i)}`;
    return { label: language(i), m, lines: [{ values, name }] };
  });
  const last = ({ lines }) => lines[0].values.findLast((v) => !Number.isNaN(v)) ?? -1;
  found.sort((a, b) => last(b) - last(a));
  return found.map((one, k) => ({ ...one, color: `--line-${k % 7}`, unnamed: k >= NAMED }));
}
// What duration alone retrieves, equal at all states: both directions of the pair selected, or the mean.
function baseline() {
  if (meta.baseline < 0) return NaN;
  const pair = selected();
  return pair ? both(view.figure, BASELINE, 0, pair.p) : overPairs(view.figure, BASELINE)[0].mean;
}
const wayOf = (p, d) => (d ? meta.pairs[p].toReversed() : meta.pairs[p]).map(language).join(" → ");
function pairLines(along, { p, direction }, label) {
  return [direction, 1 - direction].map((d) => ({
    values: along(view.figure, p, d),
    bands: view.figure === "recall_at_1" ? [[along("ci_low", p, d), along("ci_high", p, d)]] : [],
    dash: d === direction ? "" : "6 4",
    name: `${label}, ${wayOf(p, d)}`,
  }));
}

function drawCurve() {
  const pair = selected(), all = series(), n = pair ? meta.n[pair.p] : typicalN;
  const width = printing ? 600 : Math.max(300, $("curve").clientWidth);
  const height = Math.max(view.lines ? 380 : 250, Math.min(380, width * 0.56)),
    label = $("curve-title").textContent;
  const frame = { left: 42, right: width - 112, top: 12, bottom: height - 40 };
  const seen = all.flatMap(({ lines }) =>
    lines.flatMap(({ values, bands, bars }) =>
      [values, ...(bands ?? []).map((band) => band[1]), bars?.[1] ?? []].flat()
    )
  );
  seen.push(baseline());
  const largest = Math.max(0, ...seen.filter((x) => !Number.isNaN(x)));
  const highest = Math.max(0.1, Math.ceil(largest * 10 - 1e-9) / 10);
  const x = (s) => frame.left + across(s) * (frame.right - frame.left);
  const y = (v) => frame.bottom - v / highest * (frame.bottom - frame.top);
  const svg = vector("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  drawAxes(svg, frame, height, highest, x, y);
  const ends = []; // names of the lines, at their ends
  if (n) {
    const at = y(chance(view.figure, n)), place = { x1: frame.left, x2: frame.right, y1: at, y2: at };
    const look = { stroke: css("--chance"), "stroke-dasharray": "1 3", "stroke-width": 1.6 };
    svg.append(vector("line", { ...place, ...look }));
    ends.push({ at, text: "chance", color: "--chance" });
  }
  const lengths = baseline();
  if (!Number.isNaN(lengths)) {
    const at = y(lengths), place = { x1: frame.left, x2: frame.right, y1: at, y2: at };
    const look = { stroke: css("--ink"), "stroke-dasharray": "2 4", "stroke-width": 1.6 };
    svg.append(vector("line", { ...place, ...look, id: "duration" }));
    ends.push({ at, text: "Duration alone", color: "--ink" });
  }
  const main = ({ m }) => m === view.measure; // drawn last, over the others
  for (const one of [...all].sort((a, b) => main(a) - main(b))) {
    const color = one.color ?? `--line-${one.m % 7}`;
    for (const line of one.lines) drawLine(svg, line, one.m, color, x, y);
    const last = ({ values }) => values.findLast((v) => !Number.isNaN(v));
    if (last(one.lines[0]) === undefined || one.unnamed) continue;
    ends.push({ at: y(last(one.lines[0])), text: one.label, color, bold: main(one) && !view.lines });
    for (const line of one.lines.filter((each) => each.short && last(each) !== undefined)) {
      ends.push({ at: y(last(line)), text: line.short, color, thin: true });
    }
  }
  drawNames(svg, ends, frame);
  const nearest = (event) => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * width;
    const near = (s) => Math.abs(x(s) - at);
    return meta.states.reduce((best, _, s) => near(s) < near(best) ? s : best, 0);
  };
  svg.addEventListener("click", (event) => change({ state: nearest(event) }));
  svg.addEventListener("pointermove", (event) => {
    const s = nearest(event), own = (lines) => lines.filter(({ faint }) => !faint);
    const rows = all.map((
      { label, lines },
    ) => [label, own(lines).map(({ values }) => shown(values[s])).join(" / ")]);
    if (!Number.isNaN(lengths)) rows.push(["Duration alone", shown(lengths)]);
    if (n) rows.push(["Chance", shown(chance(view.figure, n))]);
    tip(event.clientX, event.clientY, `state ${stateName(s)}`, rows);
  });
  svg.addEventListener("pointerleave", hideTip);
  $("curve").replaceChildren(svg);
}

function drawAxes(svg, frame, height, highest, x, y) {
  const write = (text, x, y, anchor, meaning) => {
    const words = vector("text", { x, y, "text-anchor": anchor }, text);
    svg.append(meaning ? vector("g", {}, vector("title", {}, meaning), words) : words);
  };
  const rule = (x1, x2, y1, y2, look) => svg.append(vector("line", { x1, x2, y1, y2, ...look }));
  const step = highest > 0.5 ? 0.2 : highest > 0.2 ? 0.1 : 0.05;
  for (let v = 0; v <= highest + 1e-9; v += step) {
    rule(frame.left, frame.right, y(v), y(v), { stroke: css("--rule") });
    write(view.figure === "mrr" ? v.toFixed(2) : percent(v, 0), frame.left - 8, y(v) + 4, "end");
  }
  let free = Infinity; // from the last state backwards, those that have room for their names
  for (let s = S - 1; s >= 0; s--) {
    if (x(s) + 8 > free) continue;
    write(
      stateName(s),
      x(s),
      frame.bottom + 18,
      "middle",
      stateName(s) === "final" ? terms.final : terms.State,
    );
    free = x(s) - (s === S - 1 ? 18 : 14);
  }
  write("encoder state, by depth in blocks", (frame.left + frame.right) / 2, height - 4, "middle");
  const here = x(view.state), look = { stroke: css("--muted"), "stroke-dasharray": "2 3" };
  rule(here, here, frame.top, y(0), look);
}
function drawLine(svg, { values, bands, bars, dash, faint }, m, color, x, y) {
  const main = m === view.measure && !faint, stroke = css(color);
  const known = meta.states.map((_, s) => s).filter((s) => !Number.isNaN(values[s]));
  for (const band of bands ?? []) {
    const there = known.filter((s) => !Number.isNaN(band[0][s]));
    const edge = (end, states) => states.map((s) => `${x(s)},${y(end[s])}`);
    const points = [...edge(band[1], there), ...edge(band[0], there.toReversed())].join(" ");
    if (there.length > 1) svg.append(vector("polygon", { points, fill: stroke, opacity: 0.16 }));
  }
  if (bars) drawBars(svg, bars, stroke, x, y);
  const look = {
    fill: "none",
    stroke,
    "stroke-width": main ? view.lines ? 1.8 : 2.6 : 1.4,
    "stroke-linejoin": "round",
  };
  const kind = { "stroke-dasharray": dash || "none", opacity: faint ? 0.5 : 1 };
  svg.append(vector("path", { d: pathOf(values, x, y), ...look, ...kind }));
  if (!main || Number.isNaN(values[view.state])) return;
  const place = { cx: x(view.state), cy: y(values[view.state]), r: 4 };
  svg.append(vector("circle", { ...place, fill: stroke, stroke: css("--surface"), "stroke-width": 1.5 }));
}
