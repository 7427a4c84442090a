// Files of the figures of the page of maps, as they are shown: SVG with real text, PNG, and their numbers as CSV.
const { chartFile, saveRows, saveVector, addDownloads } = globalThis.forFigures;
const FIGURES = {
  map: ["Map", mapRows],
  scaling: ["Scaling", scalingRows],
  onset: ["Onsets", onsetRows],
  tree: ["Tree", treeRows],
};

// Every two languages with a place: whether their cells touch, and how far apart they are.
function mapRows() {
  const touching = new Set(plane.borders.map(([a, b]) => `${meta.placed[a]} ${meta.placed[b]}`));
  const rows = meta.placed.flatMap((i, k) =>
    meta.placed.slice(k + 1).map((j) => {
      const near = touching.has(`${i} ${j}`) || touching.has(`${j} ${i}`);
      return [language(i), language(j), near ? "yes" : "no", far(i, j)];
    })
  );
  return [["language", "other", "neighbours", "1 - R@1"], ...rows];
}
function scalingRows() {
  const rows = scaled().map(([x, y], i) => [language(i), x, y]);
  return [["language", "first axis", "second axis"], ...rows];
}
// Clades from the smallest on.
function treeRows() {
  const clades = (part) => part.children ? [...part.children.flatMap(clades), part] : [];
  const rows = clades(tree()).map(({ leaves, height, support }) => [
    leaves.map(language).join("; "),
    height,
    support ?? NaN,
  ]);
  return [["clade", "height", "support"], ...rows.sort((a, b) => a[1] - b[1])];
}
function onsetRows() {
  const names = [...meta.states, "none"], rows = [];
  meta.languages.forEach((_, i) =>
    meta.languages.forEach((_, j) => {
      const s = blocks.onsets[(view.scoring * L + i) * L + j];
      if (i !== j && s !== meta.unknown) rows.push([language(i), language(j), names[s]]);
    })
  );
  return [["asks", "answers", "onset"], ...rows];
}
async function saveFigure(id, form) {
  const stem = [id, meta.scorings[view.scoring].key, meta.states[view.state]].join("-");
  if (form === "csv") return saveRows(stem, FIGURES[id][1]());
  print(true); // for a white page
  const svg = chartFile(id, $(`${id}-title`).textContent, $(id).querySelector("svg").clientWidth);
  print(false);
  await saveVector(stem, form, svg);
}
function addFiles() {
  for (const [id, [name]] of Object.entries(FIGURES)) {
    if (!$(`${id}-section`).hidden) addDownloads(id, name, (form) => saveFigure(id, form));
  }
}
