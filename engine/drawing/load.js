// Unpacks the page, which is deflated and in base 85, and runs its scripts.
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
const digits = new Uint8Array(128);
for (let i = 0; i < 85; i++) digits[LETTERS.charCodeAt(i)] = i;
// Bytes of a packed block, as a Response; five letters are four bytes.
globalThis.inflated = (packed) => {
  const lacking = (5 - packed.length % 5) % 5, text = packed + "~".repeat(lacking);
  const words = new DataView(new ArrayBuffer(text.length / 5 * 4));
  for (let i = 0; i < text.length; i += 5) {
    let word = 0;
    for (let k = i; k < i + 5; k++) word = 85 * word + digits[text.charCodeAt(k)];
    words.setUint32(i / 5 * 4, word);
  }
  const bytes = new Uint8Array(words.buffer, 0, words.byteLength - lacking);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
};
const element = (id) => document.getElementById(id);
try {
  const text = await globalThis.inflated(element("page").textContent).text();
  document.body.insertAdjacentHTML("afterbegin", text);
  document.head.append(element("style"));
  const made = document.createElement("script"); // a script within a text isn't run
  made.type = "module";
  made.textContent = element("script").textContent;
  document.body.append(made);
} catch (error) {
  const message = document.createElement("p");
  message.textContent = `The page can't be shown (${error.message}). A browser of 2023 or later is needed; ` +
    "the tables beside this page have the same numbers.";
  document.body.prepend(message);
}
