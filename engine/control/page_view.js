// Controls, the address of what is shown, and the start of the page.
function draw() {
  drawFactors();
  drawPartial();
  drawSets();
  drawCurve();
  drawWhy();
  $("live").textContent = $("sets-title").textContent;
}

// Records of columns.
function records(columns) {
  const names = Object.keys(columns);
  return (columns[names[0]] ?? []).map((_, k) =>
    Object.fromEntries(names.map((name) => [name, columns[name][k]]))
  );
}
// Tables of the chosen pair: out of the page, or of a script beside it; null where that isn't there.
async function load(at) {
  if (at < meta.inside) return unpacked(`pair-${at}`).json();
  const packed = await bring(meta.folder, meta.files[at - meta.inside]);
  return packed && inflated(packed).json();
}
async function choose(at) {
  view.at = at;
  const held = await load(at);
  if (at !== view.at) return; // another was chosen while this one was loaded
  $("lost").hidden = Boolean(held);
  if (!held) return;
  view.pair = Object.fromEntries(Object.entries(held).map(([name, columns]) => [name, records(columns)]));
  draw();
}
// The address names what is shown, so that it can be passed on.
function writeAddress() {
  const words = { pair: meta.pairs[view.at].join("-"), state: meta.states[view.state] };
  if (view.direction) words.asks = meta.pairs[view.at][1];
  addressOfTables(words);
  window.history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}
function readAddress() {
  const words = new URLSearchParams(window.location.hash.slice(1));
  const pair = meta.pairs.findIndex((each) => each.join("-") === words.get("pair"));
  const state = meta.states.indexOf(words.get("state"));
  const at = Math.max(0, pair);
  view.state = state < 0 ? meta.state : state;
  view.direction = words.get("asks") === meta.pairs[at][1] ? 1 : 0;
  for (const id of ["direction", "state"]) $(id).value = view[id];
  $("languages").value = at;
  readTables(words);
  return choose(at);
}

function begin() {
  meta.pairs.forEach(([a, b], at) => {
    $("languages").append(node("option", { value: at }, `${meta.names[a]} – ${meta.names[b]}`));
  });
  meta.states.forEach((name, at) => $("state").append(node("option", { value: at }, name)));
  addTools("sets", "rule or form", writeAddress);
  addTools("why", "word of a sentence, rule …", writeAddress);
  $("languages").addEventListener("change", async () => {
    await choose(Number($("languages").value));
    writeAddress();
  });
  for (const id of ["direction", "state"]) {
    $(id).addEventListener("change", () => {
      view[id] = Number($(id).value);
      draw();
      writeAddress();
    });
  }
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", readAddress);
  window.addEventListener("resize", () => view.pair && draw());
  dark().addEventListener("change", () => view.pair && draw());
  globalThis.drawForPaper(() => view.pair && draw());
  document.querySelector("main").hidden = false;
  if (meta.pairs.length) readAddress();
}
begin();
