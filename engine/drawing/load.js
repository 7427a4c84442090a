// Runs the scripts of the page. They are deflated: as they are, they would be most of a small page.
globalThis.inflated = (packed) => {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
};
try {
  const made = document.createElement("script");
  made.type = "module";
  made.textContent = await globalThis.inflated(document.getElementById("script").textContent).text();
  document.body.append(made);
} catch (error) {
  const told = document.createElement("p");
  told.className = "alert";
  told.textContent = `The figures can't be shown (${error.message}). A browser of 2023 or later is needed; ` +
    "the tables beside this page have the same numbers.";
  document.querySelector("header").append(told);
}
