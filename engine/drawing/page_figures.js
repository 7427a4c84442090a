// Shared by pages to work in: names and paths of charts, and files of figures.
globalThis.forFigures = (() => {
  const { commas, download } = globalThis.forTables;
  // Files of figures as they are shown, for a white page: SVG with real text, PNG of twice the size, CSV.
  const HEAD = 30; // pixels above a figure for its title
  // What a style sheet may set, and what it is if nothing does.
  const LOOKS = {
    stroke: "none",
    "stroke-width": "1px",
    "stroke-opacity": "1",
    "stroke-dasharray": "none",
    "stroke-linecap": "butt",
    "stroke-linejoin": "miter",
    "fill-opacity": "1",
    opacity: "1",
    "paint-order": "normal",
    "vector-effect": "none",
  };
  // A chart with its colours and fonts written into its elements, because the file has no style sheet.
  function chartFile(id, title, wide) {
    const svg = $(id).querySelector("svg"), copy = svg.cloneNode(true), { viewBox } = svg;
    const from = svg.querySelectorAll("*"), width = wide ?? viewBox.baseVal.width;
    const height = width * viewBox.baseVal.height / viewBox.baseVal.width;
    copy.querySelectorAll("*").forEach((each, i) => {
      const look = window.getComputedStyle(from[i]);
      each.setAttribute("fill", look.fill);
      for (const [name, plain] of Object.entries(LOOKS)) {
        const found = look.getPropertyValue(name);
        if (found !== plain) each.setAttribute(name, found);
      }
      each.removeAttribute("class");
      if (each.tagName !== "text") each.removeAttribute("style");
      else each.setAttribute("style", `font: ${look.fontWeight} ${font(parseFloat(look.fontSize))}`);
    });
    fill(copy, { x: 0, y: HEAD, width, height }, []);
    copy.removeAttribute("style");
    return figureFile(width, height, title, [copy]);
  }
  function figureFile(width, height, title, children) {
    const size = { width, height: height + HEAD },
      look = { fill: css("--ink"), style: `font: 600 ${font(14)}` };
    return vector(
      "svg",
      { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${size.width} ${size.height}`, ...size },
      vector("rect", { ...size, fill: css("--surface") }),
      vector("text", { x: 8, y: 19, ...look }, title),
      ...children,
    );
  }

  async function drawn(svg) {
    const image = new window.Image(), scale = 2, picture = node("canvas");
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg.outerHTML)}`;
    await image.decode();
    const { width, height } = svg.viewBox.baseVal;
    picture.width = scale * width;
    picture.height = scale * height;
    picture.getContext("2d").drawImage(image, 0, 0, picture.width, picture.height);
    return new Promise((resolve) => picture.toBlob(resolve, "image/png"));
  }
  function saveRows(stem, rows) {
    download(`${stem}.csv`, new Blob([commas(rows)], { type: "text/csv" }));
  }
  async function saveVector(stem, form, svg) {
    const text = () => new Blob([svg.outerHTML], { type: "image/svg+xml" });
    download(`${stem}.${form}`, form === "svg" ? text() : await drawn(svg));
  }
  // Buttons behind a figure that save it in each form.
  function addDownloads(id, name, save) {
    const tools = node("div", { class: "tools" });
    for (const form of ["svg", "png", "csv"]) {
      const look = { type: "button", "aria-label": `${name} as ${form.toUpperCase()}`, id: `${id}-${form}` };
      const button = node("button", look, form.toUpperCase());
      button.addEventListener("click", () => save(form));
      tools.append(button);
    }
    $(id).after(tools);
  }

  // Names from below upwards, each moved up where it would cover the one before; back down from the upper edge.
  function drawNames(svg, ends, frame) {
    const placed = [];
    let lowest = frame.bottom + 6;
    for (const one of ends.sort((a, b) => b.at - a.at)) {
      if (one.thin && one.at > lowest + 24) continue; // its name would lie far from its end; the tip has it
      placed.push({ ...one, y: Math.min(one.at, lowest) });
      lowest = placed.at(-1).y - 15;
    }
    let highest = frame.top;
    for (const one of placed.reverse()) {
      one.y = Math.max(one.y, highest);
      highest = one.y + 15;
      const look = { class: one.bold ? "end" : "", style: `fill: var(${one.color})` };
      svg.append(vector("text", { x: frame.right + 8, y: one.y + 4, ...look }, one.text));
    }
  }
  // Path through the known values.
  function pathOf(values, x, y) {
    const known = (s) => s >= 0 && !Number.isNaN(values[s]);
    const to = (v, s) => `${known(s - 1) ? "L" : "M"}${x(s).toFixed(1)} ${y(v).toFixed(1)}`;
    return values.map((v, s) => known(s) ? to(v, s) : "").join("");
  }

  // Bars with caps from the low to the high end at each state where both are known.
  function drawBars(svg, [low, high], stroke, x, y) {
    const d = low.flatMap((_, s) => {
      const left = (x(s) - 3).toFixed(1), [foot, head] = [low[s], high[s]].map((v) => y(v).toFixed(1));
      const bar = `M${left} ${foot}h6m-3 0V${head}m-3 0h6`;
      return Number.isNaN(low[s]) || Number.isNaN(high[s]) ? [] : [bar];
    });
    const look = { fill: "none", stroke, "stroke-width": 1.2, class: "bars" };
    if (d.length) svg.append(vector("path", { d: d.join(""), ...look }));
  }
  // Colours of the palette by a place from 0 to 1, each as [r, g, b]. A dark screen has them the other way round,
  // without the one that is nearest to its background.
  function shades(onPaper) {
    const stops = dark().matches && !onPaper ? meta.palette.slice(0, -1).reverse() : meta.palette;
    const rgb = stops.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return (place) => {
      const x = place * (rgb.length - 1), k = Math.min(Math.floor(x), rgb.length - 2);
      return rgb[k].map((from, j) => Math.round(from + (x - k) * (rgb[k + 1][j] - from)));
    };
  }
  return {
    HEAD,
    chartFile,
    figureFile,
    saveRows,
    saveVector,
    addDownloads,
    drawNames,
    drawBars,
    pathOf,
    shades,
  };
})();
