// Files of the figures as they are shown, for a white page: SVG with real text, PNG of twice the size, CSV.

// A pen with the calls of a canvas that the map uses, which writes SVG.
class VectorPen {
  made = [];
  place = "";
  kept = [];
  dash = "none";
  patterns = 0;
  constructor(canvas) {
    this.canvas = canvas; // measures text
  }
  measureText(text) {
    this.canvas.font = this.font;
    return this.canvas.measureText(text);
  }
  add(tag, attributes, ...children) {
    this.made.push(
      vector(tag, this.place ? { ...attributes, transform: this.place } : attributes, ...children),
    );
  }
  fillRect(x, y, width, height) {
    const fill = this.fillStyle.id ? `url(#${this.fillStyle.id})` : this.fillStyle;
    this.add("rect", { x, y, width, height, fill });
  }
  strokeRect(x, y, width, height) {
    const look = { stroke: this.strokeStyle, "stroke-width": this.lineWidth, "stroke-dasharray": this.dash };
    this.add("rect", { x, y, width, height, fill: "none", ...look });
  }
  fillText(text, x, y) {
    const anchor = { center: "middle", right: "end" }[this.textAlign] ?? "start",
      style = `font: ${this.font}`;
    const look = { "text-anchor": anchor, "dominant-baseline": "central", fill: this.fillStyle, style };
    this.add("text", { x, y, ...look }, text);
  }
  save() {
    this.kept.push(this.place);
  }
  restore() {
    this.place = this.kept.pop();
  }
  translate(x, y) {
    this.place += `translate(${x} ${y})`;
  }
  rotate(angle) {
    this.place += `rotate(${angle * 180 / Math.PI})`;
  }
  setLineDash(dash) {
    this.dash = dash.join(" ") || "none";
  }
  createPattern(tile) {
    const id = `hatch-${this.patterns++}`, size = { width: 6, height: 6 };
    const image = vector("image", { href: tile.toDataURL(), ...size });
    this.made.push(vector("pattern", { id, patternUnits: "userSpaceOnUse", ...size }, image));
    return { id, setTransform() {} };
  }
}

const FOOT = 44; // and below the map for its scale

function mapAsVector() {
  const pen = new VectorPen(canvas.getContext("2d")), { left, width, height } = map;
  const size = [Math.max(width, 360), height];
  pen.translate(0, HEAD);
  paintMap(pen, 2);
  paintScale(pen, left, size[1] + 12, Math.min(260, size[0] - left - 30));
  return figureFile(size[0], size[1] + FOOT, $("map-title").textContent, pen.made);
}
function paintScale(pen, left, down, width) {
  const colors = ramp(), highest = top(view.figure);
  for (let k = 0; k < 64; k++) {
    pen.fillStyle = `rgb(${colors[4 * k]})`;
    pen.fillRect(left + k * width / 64, down, width / 64 + 0.5, 10);
  }
  pen.fillStyle = css("--muted");
  pen.font = font(11);
  pen.textAlign = "center";
  for (const share of [0, 0.5, 1]) pen.fillText(shown(share * highest), left + share * width, down + 20);
}

function curveTable() {
  const [heads, ...rows] = curveRows();
  const text = (number, k) => k ? shown(number) : number;
  return globalThis.table(heads, rows.map((row) => row.map(text)), 1);
}
function mapRows() {
  const { measure: m, state: s } = view, rows = [["asks", "answers", FIGURES[view.figure], "n", "q of R@1"]];
  for (const query of orderNow()) {
    for (const candidate of orderNow()) {
      const { p, direction, value: number } = cell(query, candidate);
      if (p === undefined) continue;
      rows.push([language(query), language(candidate), number, meta.n[p], discovery(m, s, p, direction)]);
    }
  }
  return rows;
}
function curveRows() {
  const lines = series().flatMap(({ lines }) => lines), lengths = baseline();
  const rows = meta.states.map((name, s) => [name, ...lines.map(({ values }) => values[s]), lengths]);
  return [["state", ...lines.map(({ name }) => name), "Duration alone"], ...rows];
}

// Saves a figure in a form: "map" or "curve" as "svg", "png" or "csv".
async function saveFigure(figure, form) {
  const name = [figure, meta.measures[view.measure].key, meta.corrections[view.correction].key];
  const stem = [...name, stateName(view.state)].join("-");
  if (form === "csv") return saveRows(stem, figure === "map" ? mapRows() : curveRows());
  print(true); // both draw for a white page, whose size doesn't depend on the window
  const title = `${$("curve-title").textContent}: ${scoringName()}`;
  const svg = figure === "map" ? mapAsVector() : chartFile("curve", title);
  print(false);
  await saveVector(stem, form, svg);
}
