// The training page: sortable cases, the scroller, copying the paragraph.
const say = (text) => { byId("message").textContent = text; };
const palette = (number) => getComputedStyle(root).getPropertyValue("--c" + Math.min(number, 6)).trim() || "#ffe14d";
const viewer = new Viewer(byId("viewer"), palette);
onChange.push(() => viewer.dialog.open && viewer.draw());
sortable(byId("cases"));
for (const card of document.querySelectorAll("article.scan"))
  card.addEventListener("click", (event) => {
    const store = card.querySelector(".volumes");
    if (!store || !event.target.closest(".scroller, .frame")) return;
    viewer.open(card.dataset.case, JSON.parse(store.textContent)).catch((error) => say(`${card.dataset.case}: its picture cannot be shown (${error.message})`));
  });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=range]")) return;
  const act = { v: switchView, o: switchOverlay }[event.key];
  if (act) act();
  else if (viewer.dialog.open && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    event.preventDefault();
    viewer.move(viewer.active, event.key === "ArrowUp" ? -1 : 1);
  }
});
onClick("copy", async () => {
  const range = document.createRange();
  range.selectNodeContents(byId("paragraph"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  try {
    await navigator.clipboard.writeText(byId("paragraph").innerText);
    say("copied");
  } catch (error) {
    say("selected: copy it with Ctrl+C");
  }
});
