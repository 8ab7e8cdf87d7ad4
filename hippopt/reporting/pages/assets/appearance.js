// What every page has: the view, the outlines, the colours, printing.
const root = document.documentElement;
const remember = (name, value) => { try { localStorage.setItem("hippopt " + name, value); } catch (error) { /* not remembered */ } };
const recall = (name) => { try { return localStorage.getItem("hippopt " + name); } catch (error) { return null; } };
const byId = (id) => document.getElementById(id);
const onClick = (id, act) => { const button = byId(id); if (button) button.addEventListener("click", act); };
const onChange = []; // called when view or outlines change

function setView(view) {
  root.classList.toggle("radiological", view !== "neurological");
  if (byId("view")) byId("view").textContent = view === "neurological" ? "neurological" : "radiological";
  remember("view", view);
  onChange.forEach((act) => act());
}
const switchView = () => setView(root.classList.contains("radiological") ? "neurological" : "radiological");

function switchOverlay() {
  const bare = root.classList.toggle("bare");
  if (byId("overlay")) { byId("overlay").setAttribute("aria-pressed", String(!bare)); byId("overlay").textContent = bare ? "outlines: off" : "outlines: on"; }
  onChange.forEach((act) => act());
}

function setTheme(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  if (byId("theme")) byId("theme").textContent = "colours: " + theme;
  remember("theme", theme);
}
const themes = ["system", "light", "dark"];
onClick("view", switchView);
onClick("overlay", switchOverlay);
onClick("theme", () => setTheme(themes[(themes.indexOf(root.dataset.theme || "system") + 1) % 3]));
onClick("print", () => window.print());
setView(recall("view") === "neurological" ? "neurological" : "radiological");
setTheme(themes.includes(recall("theme")) ? recall("theme") : "system");

// Sorts the rows of a table by a column; blank cells last. Returns the rows in their new order.
function sortRows(table, column, kind, descending) {
  const body = table.tBodies[0], value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const rows = [...body.rows].sort((first, second) => {
    const [a, b] = [value(first), value(second)];
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = kind === "number" ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
    return descending ? -order : order;
  });
  body.append(...rows);
  return rows;
}

function sortable(table, after) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = sortRows(table, column, head.dataset.sort, descending);
    if (after) after(rows);
  }));
}
