// The cohort page: table, filter, keys, ratings; the scroller where the page has pictures.
const page = JSON.parse(byId("page").textContent);
const ratings = new Ratings(page.id, new Map(Object.entries(page.masks)));
const table = byId("scans"), cards = byId("cards");
const rowOf = new Map([...table.tBodies[0].rows].map((row) => [row.dataset.scan, row]));
const cardOf = new Map(cards ? [...cards.children].map((card) => [card.dataset.scan, card]) : []);
const palette = (number) => getComputedStyle(root).getPropertyValue("--c" + Math.min(number, 6)).trim() || "#ffe14d";
const viewer = byId("viewer") ? new Viewer(byId("viewer"), palette) : null;
if (viewer) onChange.push(() => viewer.dialog.open && viewer.draw());
let current = null;

const say = (text) => { byId("message").textContent = text; };
const order = () => [...rowOf.values()].length && [...table.tBodies[0].rows].map((row) => row.dataset.scan);
const shown = () => order().filter((name) => !rowOf.get(name).hidden);

function show(scan) {
  const entry = ratings.of(scan), row = rowOf.get(scan), card = cardOf.get(scan), stale = ratings.stale(scan);
  const word = entry.rating + (stale ? " (of an earlier mask)" : "");
  if (row) {
    row.dataset.rating = entry.rating;
    for (const [cell, text] of [[row.querySelector(".rating"), word], [row.querySelector(".notes"), entry.note]]) { cell.textContent = text; cell.dataset.v = text; }
  }
  if (card) {
    card.querySelectorAll("[data-rate]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.rate === entry.rating && !stale));
      button.title = stale && button.dataset.rate === entry.rating ? "rated before the mask changed" : "";
    });
    const field = card.querySelector(".note-field");
    if (field !== document.activeElement) field.value = entry.note;
  }
}

function rate(scan, change) {
  ratings.set(scan, change);
  show(scan);
  if (!ratings.kept) say("this browser keeps no ratings for this page: export them before you close it");
}

function fits(row) {
  const text = byId("search").value.trim().toLowerCase(), wanted = byId("filter").value;
  if (text && !row.dataset.scan.toLowerCase().includes(text)) return false;
  const flags = row.dataset.flags ? row.dataset.flags.split("; ") : [];
  const odd = flags.filter((flag) => flag !== "correct first");  // which is said of a scan beside the others
  if (wanted === "flagged") return odd.length > 0;
  if (wanted === "unflagged") return odd.length === 0;
  if (wanted === "unrated") return !ratings.of(row.dataset.scan).rating;
  if (wanted.startsWith("flag:")) return flags.includes(wanted.slice(5));
  return !wanted || ratings.of(row.dataset.scan).rating === wanted;
}

function filter() {
  let count = 0;
  for (const [name, row] of rowOf) {
    row.hidden = !fits(row);
    count += !row.hidden;
    if (cardOf.has(name)) cardOf.get(name).hidden = row.hidden;
  }
  byId("shown").textContent = `${count} of ${rowOf.size} shown`;
}

function select(scan, scroll = true) {
  for (const element of document.querySelectorAll(".current")) element.classList.remove("current");
  current = scan;
  for (const element of [rowOf.get(scan), cardOf.get(scan), ...document.querySelectorAll(`.plot a[data-open="${CSS.escape(scan)}"]`)]) if (element) element.classList.add("current");
  const target = cardOf.get(scan) || rowOf.get(scan);
  if (scroll && target) target.scrollIntoView({ block: "start" });
  const row = rowOf.get(scan), box = row && row.closest(".scroll");
  if (box) box.scrollTop = row.offsetTop - box.clientHeight / 2;
}

function step(by) {
  const names = shown(), at = names.indexOf(current);
  if (names.length) select(names[at < 0 ? (by > 0 ? 0 : names.length - 1) : Math.max(0, Math.min(names.length - 1, at + by))]);
}

function openScroller(scan) {
  const store = cardOf.get(scan) && cardOf.get(scan).querySelector(".volumes");
  if (viewer && store) viewer.open(scan, JSON.parse(store.textContent)).catch((error) => say(`${scan}: its picture cannot be shown (${error.message})`));
}

function openScan(scan, event) {
  if (!cardOf.has(scan)) return; // the link leads to another part
  if (event) event.preventDefault();
  cardOf.get(scan).hidden = false;
  select(scan);
  history.replaceState(null, "", "#" + cardOf.get(scan).id);
}

function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

onClick("export", () => { save(ratings.table(order()), "ratings.tsv"); say(`${ratings.all.size} ratings written to ratings.tsv, in the folder for downloads`); });
byId("import").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file) return;
  try {
    const { read, unknown, faults } = ratings.take(await file.text());
    say([`${read} ratings read from ${file.name}`, unknown.length ? `${unknown.length} of scans that are not on this page, kept for the export` : "", faults.length ? `left out: ${faults.slice(0, 3).join("; ")}` : ""].filter(Boolean).join("; "));
  } catch (error) {
    say(`${file.name}: ${error.message}`);
  }
  event.target.value = "";
  [...rowOf.keys()].forEach(show);
  filter();
});
byId("search").addEventListener("input", filter);
byId("filter").addEventListener("change", filter);
sortable(table, (rows) => { if (cards) cards.append(...rows.map((row) => cardOf.get(row.dataset.scan)).filter(Boolean)); });

document.addEventListener("click", (event) => {
  const target = event.target;
  if (!(target instanceof Element)) return;
  const card = target.closest("article.scan"), link = target.closest("[data-open]"), row = target.closest("#scans tbody tr");
  if (link) openScan(link.dataset.open, event);
  else if (row) { if (cardOf.has(row.dataset.scan)) openScan(row.dataset.scan); else location.href = row.querySelector("a").href; }
  else if (card) {
    select(card.dataset.scan, false);
    if (target.dataset.rate) rate(card.dataset.scan, { rating: target.getAttribute("aria-pressed") === "true" ? "" : target.dataset.rate });
    else if (target.closest(".scroller, .frame")) openScroller(card.dataset.scan);
  }
});
document.addEventListener("change", (event) => {
  if (event.target.matches(".note-field")) rate(event.target.closest("article").dataset.scan, { note: event.target.value.trim() });
});

const KEYS = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), o: switchOverlay, v: switchView, Enter: () => current && openScroller(current),
  n: () => { const card = cardOf.get(current); if (card) card.querySelector(".note-field").focus(); },
  ...Object.fromEntries(["", ...RATINGS].map((rating, number) => [String(number), () => current && rate(current, { rating })])),
};
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range]), select, textarea");
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" && event.target.matches("button, a, summary, label")) return;
  const open = viewer && viewer.dialog.open;
  if (open && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    event.preventDefault();
    viewer.move(viewer.active, event.key === "ArrowUp" ? -1 : 1);
  } else if (open && event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) {
    return; // the slider's own
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
    if (open && event.key.startsWith("Arrow")) openScroller(current);
  }
});
window.addEventListener("storage", (event) => { if (event.key === ratings.key) { ratings.all = ratings.load(); [...rowOf.keys()].forEach(show); filter(); } });

[...rowOf.keys()].forEach(show);
filter();
const asked = location.hash && document.querySelector(`article[id="${CSS.escape(location.hash.slice(1))}"]`);
if (asked) select(asked.dataset.scan);
