// Shared by all pages: their data, elements, tables and the box beside the pointer.
const { document, window, inflated } = globalThis; // the linter knows no others of a browser
const meta = JSON.parse(document.getElementById("meta").textContent);
const $ = (id) => document.getElementById(id);
function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
const node = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const vector = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const css = (name) => window.getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const font = (size) => `${size}px ${window.getComputedStyle(document.body).fontFamily}`;
const dark = () => window.matchMedia("(prefers-color-scheme: dark)");

// Bytes of a packed block, as a Response.
const unpacked = (id) => inflated($(id).textContent);

// Draws for a white page while the reader prints.
globalThis.drawForPaper = (draw) => {
  for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(event, () => {
      document.documentElement.classList.toggle("paper", on);
      draw();
    });
  }
};

const percent = (value, digits = 1) => Number.isNaN(value) ? "–" : `${(100 * value).toFixed(digits)}%`;

// Head and body of a table; columns from `numbers` on hold numbers, the first one heads its row.
globalThis.table = (heads, rows, numbers) => {
  const kind = (k) => k < numbers ? { dir: "auto" } : { class: "number" };
  const cell = (text, k) => k ? node("td", kind(k), text) : node("th", { scope: "row", dir: "auto" }, text);
  const head = heads.map((text, k) => node("th", { scope: "col", ...kind(k) }, text));
  return [
    node("thead", {}, node("tr", {}, ...head)),
    node("tbody", {}, ...rows.map((row) => node("tr", {}, ...row.map(cell)))),
  ];
};

// A box beside the pointer: a title, a line, and rows of a name and its text.
function tip(x, y, title, rows, note) {
  const entries = rows.flatMap(([name, text]) => [node("dt", {}, name), node("dd", {}, text)]);
  const list = node("dl", {}, ...entries);
  const box = $("tip");
  box.replaceChildren(node("strong", { dir: "auto" }, title), note ?? "", rows.length ? list : "");
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, x + 16 + width > window.innerWidth ? x - 16 - width : x + 16)}px`;
  box.style.top = `${Math.max(4, Math.min(y + 14, window.innerHeight - height - 6))}px`;
}
function hideTip() {
  $("tip").hidden = true;
}
