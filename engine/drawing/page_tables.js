// Shared by pages to work in: terms, tables that sort and filter, their files, and scripts beside the page.
globalThis.forTables = (() => {
  // Meaning of each term and measure, from the list at the top of the page.
  const terms = Object.fromEntries(
    [...document.querySelectorAll("#terms dt")].map((
      name,
    ) => [name.textContent, name.nextSibling.textContent]),
  );
  const term = (name) => node("abbr", { title: terms[name] }, name);
  // Words by which a language is found.
  function about(i) {
    const { name, code, group, family, branch, script } = meta.languages[i];
    return [name, code, group, family, branch, script].join(" ");
  }
  // True if a text has all words of a filter, or, of filters with commas between them, all words of one.
  function matches(text, filter) {
    const wanted = filter.toLowerCase().split(",").map((part) => part.split(/\s+/).filter(Boolean));
    const asked = wanted.filter((part) => part.length), held = text.toLowerCase();
    return !asked.length || asked.some((part) => part.every((word) => held.includes(word)));
  }
  const qText = (q) => Number.isNaN(q) ? "–" : q < 0.001 ? "< 0.001" : q.toFixed(3);

  // Tables that sort by their heads, are filtered by words, and are downloaded as they are seen.
  // A table has columns { head, title, value: row -> number or text, number, hidden }, rows,
  // words: row -> text that the filter looks in, make: row -> its element, and q: row -> its q.
  const FIRST = 20; // rows shown before one asks for all
  const tables = {};
  const shownOf = {}; // by table: { sort: 1 + column, negative downwards, 0 as given; filter; all; few: by q }

  function arranged(id) {
    const { columns, rows, words, q } = tables[id], { sort, filter, few } = shownOf[id];
    const certain = (row) => !few || few === "no" !== q(row) < 0.05;
    const kept = rows.filter((row) => matches(words(row), filter) && certain(row));
    const column = columns[Math.abs(sort) - 1]; // none where an address names one that there isn't
    return column ? kept.sort(comparison(column.value, Math.sign(sort))) : kept;
  }
  // Order of two rows; what isn't known comes last in both ways.
  function comparison(value, way) {
    return (one, other) => {
      const [x, y] = [value(one), value(other)], unknown = [x, y].map(Number.isNaN);
      if (unknown[0] || unknown[1]) return unknown[0] - unknown[1];
      return way * (typeof x === "number" ? x - y : String(x).localeCompare(y));
    };
  }
  function drawSorted(id) {
    const { columns, rows, make } = tables[id], { sort, all } = shownOf[id], found = arranged(id);
    const head = columns.filter(({ hidden }) => !hidden).map((column) => {
      const k = columns.indexOf(column) + 1,
        way = sort === k ? "ascending" : sort === -k ? "descending" : "none";
      const button = node("button", { type: "button", title: column.title ?? "" }, column.head);
      button.addEventListener("click", () => sortBy(id, k));
      const kind = column.number && !column.left ? { class: "number" } : {};
      return node("th", { scope: "col", "aria-sort": way, "data-column": k, ...kind }, button);
    });
    const shown = found.slice(0, all ? found.length : FIRST).map(make);
    $(id).replaceChildren(node("thead", {}, node("tr", {}, ...head)), node("tbody", {}, ...shown));
    const some = found.length < rows.length ? `${found.length.toLocaleString("en")} of ` : "";
    $(`${id}-count`).textContent = `${some}${rows.length.toLocaleString("en")} rows`;
    const more = $(`${id}-more`);
    more.hidden = found.length <= FIRST;
    more.textContent = all ? `Show the first ${FIRST}` : `Show all ${found.length.toLocaleString("en")}`;
  }
  // Numbers run downwards first, text upwards; the third click takes the order as given.
  function sortBy(id, k) {
    const one = tables[id].columns[k - 1].number ? -k : k, { sort } = shownOf[id];
    shownOf[id].sort = sort === one ? -one : sort === -one ? 0 : one;
    drawSorted(id);
    $(id).querySelector(`[data-column="${k}"] button`).focus();
    shownOf[id].changed();
  }
  // Filter, count and download before the table, and a button for more rows behind it. `changed` is called when
  // the reader has sorted or filtered it.
  function addTools(id, hint, changed, byQ = false) {
    shownOf[id] = { sort: 0, filter: "", all: false, few: "", changed };
    const filter = node("input", {
      type: "search",
      id: `${id}-filter`,
      placeholder: hint,
      autocomplete: "off",
    });
    filter.addEventListener("input", () => {
      shownOf[id].filter = filter.value;
      drawSorted(id);
      changed();
    });
    const few = node("select", { id: `${id}-q`, "aria-label": "Rows by q", title: terms.q });
    for (const [value, text] of [["", "any q"], ["yes", "q < 0.05"], ["no", "q ≥ 0.05"]]) {
      few.append(node("option", { value }, text));
    }
    few.addEventListener("change", () => {
      shownOf[id].few = few.value;
      drawSorted(id);
      changed();
    });
    const csv = node("button", { type: "button", id: `${id}-csv` }, "CSV");
    csv.addEventListener("click", () => downloadTable(id));
    const count = node("span", { id: `${id}-count`, role: "status", class: "soft" });
    const label = node("label", {}, node("span", {}, "Filter"), filter), region = $(id).parentElement;
    region.before(node("div", { class: "tools" }, label, ...(byQ ? [few] : []), csv, count));
    const more = node("button", { type: "button", id: `${id}-more`, hidden: "" });
    more.addEventListener("click", () => {
      shownOf[id].all = !shownOf[id].all;
      drawSorted(id);
    });
    region.after(more);
  }
  // Shows or hides a table with its tools.
  function showTable(id, some) {
    const region = $(id).parentElement;
    region.hidden = region.previousElementSibling.hidden = !some;
    if (!some) $(`${id}-more`).hidden = true;
  }
  function downloadTable(id) {
    const { columns } = tables[id];
    const rows = arranged(id).map((row) => columns.map(({ value }) => value(row)));
    download(
      `${id}.csv`,
      new Blob([commas([columns.map(({ head }) => head), ...rows])], { type: "text/csv" }),
    );
  }

  // Text of a CSV file; an unknown number is an empty cell.
  function commas(rows) {
    const cell = (value) => {
      const text = Number.isNaN(value) ? "" : typeof value === "number" ? +value.toPrecision(6) : value;
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
  }
  function download(name, blob) {
    const address = URL.createObjectURL(blob);
    node("a", { href: address, download: `isogloss-${name}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  // What a script in a folder beside the page brings under its name, because a page in a folder may load no
  // data; null where it isn't there.
  const brought = {};
  function bring(folder, file) {
    return brought[file] ??= new Promise((resolve) => {
      const script = node("script", { src: `${folder}/${encodeURIComponent(file)}` });
      script.addEventListener("load", () => resolve(globalThis.isogloss?.[file] ?? null));
      script.addEventListener("error", () => resolve(null));
      document.head.append(script);
    });
  }

  // What the address says of the tables, and the other way round.
  function addressOfTables(words) {
    for (const [id, { sort, filter, few }] of Object.entries(shownOf)) {
      if (few) words[`${id}-q`] = few;
      if (sort) words[`${id}-sort`] = String(sort);
      if (filter) words[`${id}-filter`] = filter;
    }
  }
  function readTables(words) {
    for (const [id, shown] of Object.entries(shownOf)) {
      const sort = Number(words.get(`${id}-sort`));
      Object.assign(shown, {
        filter: words.get(`${id}-filter`) ?? "",
        sort: Number.isInteger(sort) ? sort : 0,
        few: ["yes", "no"].find((each) => each === words.get(`${id}-q`)) ?? "",
      });
      if ($(`${id}-q`)) $(`${id}-q`).value = shown.few;
      $(`${id}-filter`).value = shown.filter;
    }
  }

  return {
    terms,
    term,
    about,
    matches,
    qText,
    tables,
    drawSorted,
    addTools,
    showTable,
    commas,
    download,
    bring,
    addressOfTables,
    readTables,
  };
})();
