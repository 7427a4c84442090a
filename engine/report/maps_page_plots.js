// Scaling, tree, onsets and the table of association tests.
function drawScaling() {
  const places = scaled(), colors = hues(), size = 520, pad = 46, most = radius();
  const to = (value) => pad + (value / most + 1) / 2 * (size - 2 * pad);
  const svg = vector("svg", {
    viewBox: `0 0 ${size} ${size}`,
    role: "img",
    "aria-label": $("scaling-title").textContent,
  });
  const at = view.scoring * S + view.state;
  const [first, second] = blocks.variance.subarray(2 * at, 2 * at + 2);
  svg.append(
    vector("path", {
      d: `M${pad} ${size - 22}H${size - pad}M22 ${pad}V${size - pad}`,
      stroke: css("--rule"),
    }),
    vector(
      "text",
      { x: size / 2, y: size - 6, class: "axis", "text-anchor": "middle" },
      `${percent(first)} of the variance`,
    ),
    vector("text", {
      transform: `translate(14 ${size / 2}) rotate(-90)`,
      class: "axis",
      "text-anchor": "middle",
    }, percent(second)),
  );
  const taken = places.map(([x, y]) => [to(x) - 4, to(y) - 4, to(x) + 4, to(y) + 4]), names = [];
  places.forEach(([x, y], i) => {
    const dot = vector("circle", { cx: to(x), cy: to(y), r: 5, fill: colors[i] });
    dot.append(vector("title", {}, language(i)));
    svg.append(dot);
    const width = widthOfText(language(i), 12);
    for (
      const [left, base] of [[to(x) + 8, to(y) + 4], [to(x) - 8 - width, to(y) + 4], [
        to(x) - width / 2,
        to(y) - 9,
      ]]
    ) {
      const mine = [left, base - 10, left + width, base + 3];
      if (left < 0 || mine[2] > size) continue;
      if (taken.some((t) => mine[0] < t[2] && t[0] < mine[2] && mine[1] < t[3] && t[1] < mine[3])) continue;
      taken.push(mine);
      names.push(vector("text", { x: left, y: base, style: "stroke-width: 3px" }, language(i)));
      break;
    }
  });
  svg.append(...names);
  $("scaling").replaceChildren(svg);
}

function drawTree() {
  const row = L > 40 ? 13 : 18, width = 560, names = 150, top = 18, height = top + row * L + 4;
  const svg = vector("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": $("tree-title").textContent,
  });
  const root = tree(), place = new Map(root.leaves.map((i, k) => [i, top + row * (k + 0.5)]));
  const across = (d) => names + 8 + (1 - d) * 0 + d * (width - names - 40);
  for (const d of [0, 0.25, 0.5, 0.75, 1]) {
    const x = across(d);
    svg.append(
      vector("path", { d: `M${x} ${top - 4}V${height}`, style: `stroke: ${css("--rule")}` }),
      vector("text", { x, y: top - 7, class: "axis", "text-anchor": "middle" }, d.toFixed(2)),
    );
  }
  const colors = hues(), lines = [], texts = [];
  const draw = (part) => {
    if (!part.children) return place.get(part.leaves[0]);
    const [a, b] = part.children.map(draw), x = across(part.height);
    const starts = part.children.map((child) => across(child.height));
    const strong = part.support >= 0.95 ? 2 : 1;
    lines.push(
      vector("path", { d: `M${starts[0]} ${a}H${x}V${b}H${starts[1]}`, style: `stroke-width: ${strong}` }),
    );
    if (part.support >= 0.5 && part !== root && L <= 110) {
      texts.push(
        vector(
          "text",
          { x: x + 3, y: (a + b) / 2 + 3.5, class: "support" },
          String(Math.round(100 * part.support)),
        ),
      );
    }
    return (a + b) / 2;
  };
  draw(root);
  svg.append(...lines, ...texts);
  for (const i of root.leaves) {
    const y = place.get(i),
      label = {
        x: names - 8,
        y: y + 4,
        "text-anchor": "end",
        style: `font-size: ${Math.min(12, row - 1)}px`,
      };
    svg.append(
      vector("circle", { cx: names, cy: y, r: 3.5, fill: colors[i] }),
      vector("text", label, language(i)),
    );
  }
  $("tree").replaceChildren(svg);
  $("tree-note").textContent = "Average linkage; the axis is 1 − R@1. " +
    "Numbers: support in percent, where at least 50; thick: at least 95.";
}

function drawOnsets() {
  const order = blocks.trees ? tree(meta.best[view.scoring]).leaves : meta.languages.map((_, i) => i);
  const size = Math.max(560, 100 + 9 * L), text = Math.min(12, 0.9 * (size - 100) / L); // names can be read
  const names = 8 + Math.max(...meta.languages.map((_, i) => widthOfText(language(i), text)));
  const cell = (size - names) / L, squares = new Map();
  const value = (i, j) => blocks.onsets[(view.scoring * L + i) * L + j];
  order.forEach((i, row) =>
    order.forEach((j, column) => {
      const s = value(i, j);
      if (i === j || s === meta.unknown) return;
      const square = `M${(names + column * cell).toFixed(2)} ${(names + row * cell).toFixed(2)}h${
        cell.toFixed(2)
      }v${cell.toFixed(2)}h${-cell.toFixed(2)}z`;
      squares.set(s, (squares.get(s) ?? "") + square);
    })
  );
  const color = (s) => s === S ? css("--hatch") : ramp(1 - s / Math.max(1, S - 1));
  const svg = vector("svg", {
    viewBox: `0 0 ${size} ${size}`,
    role: "img",
    "aria-label": $("onset-title").textContent,
    style: size > 560 ? `min-width: ${size}px` : "",
  });
  $("onset-section").classList.toggle("whole", size > 560);
  for (const [s, d] of squares) svg.append(vector("path", { d, fill: color(s) }));
  order.forEach((i, at) => {
    const middle = names + (at + 0.5) * cell, style = `font-size: ${text}px`;
    svg.append(
      vector("text", { x: names - 4, y: middle + text * 0.35, "text-anchor": "end", style }, language(i)),
    );
    svg.append(
      vector(
        "text",
        { transform: `translate(${middle + text * 0.35} ${names - 4}) rotate(-90)`, style },
        language(i),
      ),
    );
  });
  const corner = { x: names - 4, "text-anchor": "end", style: "font-size: 10px" };
  svg.append(vector("text", { ...corner, y: names - 6 }, "asks ↓"));
  svg.append(vector("text", { ...corner, y: names - 20 }, "answers →"));
  $("onset").replaceChildren(svg);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(),
      at = (place, start) => Math.floor(((place - start) / box.width * size - names) / cell);
    const [row, column] = [at(event.clientY, box.top), at(event.clientX, box.left)];
    const [i, j] = [order[row], order[column]];
    if (i === undefined || j === undefined || i === j) return hideTip();
    const s = value(i, j),
      found = s === S ? "no state" : s === meta.unknown ? "not known" : `state ${meta.states[s]}`;
    tip(event.clientX, event.clientY, `${language(i)} asks, ${language(j)} answers`, [["onset", found]]);
  });
  svg.addEventListener("pointerleave", hideTip);
  const seen = [...squares.keys()].sort((a, b) => a - b);
  const key = (s) =>
    node("span", {}, node("i", { style: `background: ${color(s)}` }), s === S ? "none" : meta.states[s]);
  $("onset-legend").replaceChildren(node("span", {}, "state:"), ...seen.map(key));
}

const PREDICTORS = {
  same_family: "same family",
  same_branch: "same branch",
  distance: "distance, 1,000 km",
  length: "length, frames",
};
function drawTests() {
  const rows = meta.tests[view.scoring][view.state].map(([test, predictor, slope, r, p, q]) => {
    const number = (value, digits) => value === null ? "–" : value.toFixed(digits);
    const small = (value) => value === null ? "–" : value < 0.001 ? value.toExponential(0) : value.toFixed(3);
    const name = PREDICTORS[predictor] ?? predictor;
    return [
      name,
      test === "mantel" ? "Mantel" : "MRQAP",
      number(slope, 3),
      number(r, 2),
      small(p),
      small(q),
    ];
  });
  $("tests").replaceChildren(...globalThis.table(["Predictor", "Test", "Slope", "r", "p", "q"], rows, 2));
}
