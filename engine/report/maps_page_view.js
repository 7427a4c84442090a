// Controls, the address, and the start.
function draw() {
  const name = meta.states[view.state], what = `${meta.scorings[view.scoring].label}, state ${name}`;
  $("state").value = view.state;
  $("state").setAttribute("aria-valuetext", `state ${name}`);
  $("state-name").textContent = name;
  for (const id of ["kind", "from", "part"]) $(id).value = view[id];
  $("measure").value = view.scoring;
  const titles = {
    borders: `Isoglosses of ${what}: a border is as thick as the languages on its sides are far apart`,
    beams: `Beams of ${what}: neighbours are joined the thicker, the nearer they are`,
    from: `As seen from ${language(view.from)}: ${what}`,
  };
  $("map-title").textContent = titles[view.kind];
  $("scaling-title").textContent = `Scaling of all distances: ${what}`;
  $("tree-title").textContent = `Tree: ${what}`;
  $("onset-title").textContent = `Onset of ${meta.scorings[view.scoring].label}`;
  if (plane) drawMap();
  if (meta.whole) {
    drawScaling();
    drawTree();
  }
  if (meta.tests) drawTests();
}
function change(some) {
  const scoring = view.scoring;
  Object.assign(view, some);
  draw();
  if (view.scoring !== scoring && meta.onset) drawOnsets();
  const words = {
    measure: meta.scorings[view.scoring].key,
    state: meta.states[view.state],
    map: view.kind,
    from: meta.languages[view.from].code,
    part: view.part,
  };
  window.history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}
// The address names what is shown, so that it can be passed on.
function readAddress() {
  const words = new URLSearchParams(window.location.hash.slice(1));
  const among = (list, word, other) => list.includes(word) ? list.indexOf(word) : other;
  view.scoring = among(meta.scorings.map(({ key }) => key), words.get("measure"), meta.leading);
  view.state = among(meta.states, words.get("state"), meta.best[view.scoring]);
  view.from = among(meta.languages.map(({ code }) => code), words.get("from"), meta.placed[0] ?? 0);
  if (["borders", "beams", "from"].includes(words.get("map"))) view.kind = words.get("map");
  const part = words.get("part") ?? "";
  if ([...$("part").options].some(({ value }) => value === part)) view.part = part;
}
function fillControls() {
  $("state").max = S - 1;
  $("measure").append(...meta.scorings.map(({ label }, v) => node("option", { value: String(v) }, label)));
  const byName = [...meta.placed].sort((a, b) => language(a).localeCompare(language(b)));
  $("from").append(...byName.map((i) => node("option", { value: String(i) }, language(i))));
  const groups = meta.placed.map((i) => meta.languages[i].group), several = new Set(groups);
  const options = [...several].filter((group) => groups.filter((other) => other === group).length > 2);
  $("part").append(
    node("option", { value: "" }, "all"),
    ...options.map((group) => node("option", { value: group }, group)),
  );
  $("state").addEventListener("input", () => change({ state: Number($("state").value) }));
  $("measure").addEventListener("change", () => change({ scoring: Number($("measure").value) }));
  $("from").addEventListener("change", () => change({ from: Number($("from").value), kind: "from" }));
  $("kind").addEventListener("change", () => change({ kind: $("kind").value }));
  $("part").addEventListener("change", () => change({ part: $("part").value }));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
}
function print(on) {
  printing = on;
  document.documentElement.classList.toggle("paper", on);
  redraw();
}
function redraw() {
  draw();
  if (meta.onset) drawOnsets();
}
async function start() {
  await unpack();
  document.querySelector("main").hidden = false;
  $("map-section").hidden = !plane;
  for (const id of ["kind", "from", "part"]) $(id).parentElement.hidden = !plane;
  $("scaling-section").hidden = $("tree-section").hidden = !meta.whole;
  $("onset-section").hidden = !meta.onset;
  $("tests").hidden = $("tests-note").hidden = !meta.tests;
  $("no-tests").hidden = Boolean(meta.tests);
  addFiles();
  fillControls();
  readAddress();
  redraw();
  window.addEventListener("hashchange", () => {
    readAddress();
    redraw();
  });
  window.addEventListener("resize", redraw);
  dark().addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
}
start().catch((error) => {
  const text = `The maps can't be shown (${error.message}). A browser of 2023 or later is needed.`;
  document.querySelector("header").append(node("p", { class: "alert" }, text));
});
