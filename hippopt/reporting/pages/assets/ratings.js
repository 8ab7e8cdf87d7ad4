// Ratings: kept in this browser under the page's id, read and written as a table whose column `scan` is that of volumes.tsv.
const RATINGS = ["pass", "doubtful", "fail"];
const RATING_COLUMNS = ["scan", "rating", "note", "mask", "rated"];

class Ratings {
  // masks: Map of scan -> short hash of the mask that is shown.
  constructor(id, masks) {
    this.key = "hippopt ratings " + id;
    this.masks = masks;
    this.kept = true; // false where the browser forbids it: ratings then live as long as the page
    this.all = this.load() || new Map();
  }

  load() {
    try {
      const found = JSON.parse(localStorage.getItem(this.key) || "{}");
      return new Map(Object.entries(found));
    } catch (error) {
      this.kept = false;
      return null;
    }
  }

  save() {
    try {
      localStorage.setItem(this.key, JSON.stringify(Object.fromEntries(this.all)));
      this.kept = true;
    } catch (error) {
      this.kept = false;
    }
  }

  of(scan) {
    return this.all.get(scan) || { rating: "", note: "", mask: "", rated: "" };
  }

  // Whether the rating is of another mask than the one that is shown.
  stale(scan) {
    const own = this.of(scan), mask = this.masks.get(scan);
    return Boolean(own.rating && own.mask && mask && own.mask !== mask);
  }

  set(scan, change) {
    if (this.kept) this.all = this.load() || this.all; // another tab or part of the page may have rated meanwhile
    const entry = { ...this.of(scan), ...change, mask: this.masks.get(scan) || "", rated: new Date().toISOString() };
    if (entry.rating || entry.note) this.all.set(scan, entry);
    else this.all.delete(scan);
    this.save();
  }

  // As a table, scans in the order given, then others.
  table(order) {
    const names = [...order.filter((name) => this.all.has(name)), ...[...this.all.keys()].filter((name) => !order.includes(name))];
    const clean = (text) => String(text ?? "").replace(/[\t\r\n]+/g, " ").trim();
    const lines = names.map((name) => [name, ...RATING_COLUMNS.slice(1).map((column) => clean(this.of(name)[column]))].join("\t"));
    return [RATING_COLUMNS.join("\t"), ...lines].join("\n") + "\n";
  }

  // Reads a table; returns { read, unknown, faults }. Throws an Error whose message can be shown.
  take(text) {
    const lines = text.replace(/^\ufeff/, "").split(/\r?\n/).filter((line) => line.trim());
    const head = (lines.shift() || "").split("\t").map((cell) => cell.trim().toLowerCase());
    const at = Object.fromEntries(RATING_COLUMNS.map((column) => [column, head.indexOf(column)]));
    if (at.scan < 0 || at.rating < 0) throw new Error("not a table of ratings: its first line needs the columns scan and rating, separated by tabs");
    const outcome = { read: 0, unknown: [], faults: [] };
    lines.forEach((line, index) => {
      const cells = line.split("\t");
      const cell = (column) => (at[column] < 0 ? "" : (cells[at[column]] || "").trim());
      const scan = at.scan < cells.length ? cells[at.scan] : "", rating = cell("rating").toLowerCase();
      if (rating && !RATINGS.includes(rating)) return outcome.faults.push(`line ${index + 2}: rating ${rating}`);
      if (!this.masks.has(scan)) outcome.unknown.push(scan);
      this.all.set(scan, { rating, note: cell("note"), mask: cell("mask"), rated: cell("rated") });
      outcome.read += 1;
    });
    this.save();
    return outcome;
  }
}
