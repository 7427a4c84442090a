// What is chosen, pointer and keyboard, and the start.
function select(i) {
  view.at = i;
  drawList();
  reveal();
  drawList();
  drawWords();
  drawPlane();
  const pair = sentences[i];
  if (!pair) return;
  const score = figure(pair.scores[0]), count = lines(pair).length;
  $("live").textContent = `${$("shown-title").textContent}, score ${score}, ${count} lines`;
}
function refresh() {
  arrange();
  select(view.at);
}
async function choose(set) {
  const kept = sentences[view.at]?.sentenceA;
  view.set = set;
  const loaded = await load(set);
  if (view.set !== set) return; // another was chosen while this one was unpacked
  sentences = loaded;
  view.at = sentences.findIndex(({ sentenceA }) => sentenceA === kept);
  refresh();
}
const chooseState = () => choose(Number($("state").selectedOptions[0].dataset.set));
const languages = ({ a, b }) => `${a}\t${b}`;
// States of the languages chosen; the state stays where they have it.
function fillStates() {
  const before = $("state").value,
    option = ({ state, n }, i) => {
      const text = `${state} (${n.toLocaleString("en")} sentence pairs)`;
      return node("option", { value: state, "data-set": i }, text);
    };
  const mine = (_, i) => languages(meta.sets[i]) === $("languages").value;
  $("state").replaceChildren(...meta.sets.map(option).filter(mine));
  if ([...$("state").options].some(({ value }) => value === before)) $("state").value = before;
  chooseState();
}
function fillLanguages() {
  const title = (key) => key.split("\t").map((code) => meta.names[code]).join(" – ");
  for (const key of new Set(meta.sets.map(languages))) {
    $("languages").append(node("option", { value: key }, title(key)));
  }
}

function listen() {
  $("languages").addEventListener("change", fillStates);
  $("state").addEventListener("change", chooseState);
  const set = (id, event, property) =>
    $(id).addEventListener(event, () => {
      view[id] = $(id)[property];
      refresh();
    });
  set("kind", "change", "value");
  set("order", "change", "value");
  set("search", "input", "value");
  set("wrong", "change", "checked");
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("list").addEventListener("scroll", drawList, { passive: true });
  $("list").addEventListener("keydown", (event) => {
    const page = Math.floor($("list").clientHeight / ROW), all = listed.length;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -all, End: all };
    if (!(event.key in steps) || !all) return;
    event.preventDefault();
    select(listed[Math.max(0, Math.min(all - 1, listed.indexOf(view.at) + steps[event.key]))]);
  });
  $("plane").addEventListener("pointermove", (event) => {
    const [, , i, k] = nearest(event) ?? [];
    if (i === undefined) hideTip();
    else tip(event.clientX, event.clientY, words(sentences[i], k), figures(sentences[i], k));
  });
  $("plane").addEventListener("pointerleave", hideTip);
  $("plane").addEventListener("click", (event) => {
    const point = nearest(event);
    if (point) select(point[2]);
  });
  dark().addEventListener("change", drawPlane);
  globalThis.drawForPaper(drawPlane);
  for (const draw of [drawList, drawWords, drawPlane]) window.addEventListener("resize", draw);
}

if (meta.sets.length) {
  document.querySelector("main").hidden = false;
  fillLanguages();
  listen();
  fillStates();
} else {
  const alert = node("p", { class: "alert" }, "No sentence pair was interpreted.");
  $("settings-title").parentElement.before(alert);
}
