// The slice scroller: three planes of one region on 2D canvases, joined by a cross.
const PLANES = { // rows and columns of a picture along the volume's axes (0: front to back, 1: top to bottom, 2: left to right), and what is scrolled
  sagittal: { rows: 1, columns: 0, across: 2, letters: "APSI" },
  coronal: { rows: 1, columns: 2, across: 0, letters: "LRSI" },
  axial: { rows: 0, columns: 2, across: 1, letters: "LRAP" },
};

// base64 of runs (a byte of the value, the length as LEB128) -> Uint8Array of `size` values.
function unpackRuns(text, size) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const out = new Uint8Array(size);
  let from = 0;
  for (let index = 0; index < bytes.length; ) {
    const value = bytes[index++];
    let length = 0, shift = 0, byte;
    do {
      byte = bytes[index++];
      length |= (byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    out.fill(value, from, from + length);
    from += length;
  }
  return out;
}

// The grey values of a volume from the mosaic of its slices. Resolves to a Uint8Array in the order of its shape.
async function unpackPicture(volume) {
  const [count, rows, columns] = volume.shape;
  const image = new Image();
  image.src = volume.image;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const out = new Uint8Array(count * rows * columns);
  for (let slice = 0, at = 0; slice < count; slice++) {
    const left = (slice % volume.across) * columns, top = Math.floor(slice / volume.across) * rows;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) out[at++] = pixels[4 * ((top + row) * canvas.width + left + column)];
  }
  return out;
}

// Segments [x1, y1, x2, y2] between centres of pixels inside and outside, in pixels; corner (0, 0) is that of the first pixel.
function outlineOf(inside, rows, columns) {
  const lines = [];
  const at = (row, column) => (row >= 0 && column >= 0 && row < rows && column < columns && inside(row, column) ? 1 : 0);
  for (let row = -1; row < rows; row++)
    for (let column = -1; column < columns; column++) {
      const a = at(row, column), b = at(row, column + 1), c = at(row + 1, column + 1), d = at(row + 1, column);
      const kind = a | (b << 1) | (c << 2) | (d << 3);
      if (kind === 0 || kind === 15) continue;
      const x = column + 1, y = row + 1; // where the four pixels meet
      const north = [x, y - 0.5], east = [x + 0.5, y], south = [x, y + 0.5], west = [x - 0.5, y];
      const add = (from, to) => lines.push([...from, ...to]);
      if (kind === 5) { add(north, west); add(east, south); }
      else if (kind === 10) { add(north, east); add(west, south); }
      else {
        const ends = [];
        if (a !== b) ends.push(north);
        if (b !== c) ends.push(east);
        if (c !== d) ends.push(south);
        if (d !== a) ends.push(west);
        add(ends[0], ends[1]);
      }
    }
  return lines;
}

class Viewer {
  constructor(dialog, colours) {
    this.dialog = dialog;
    this.colours = colours;
    this.stage = dialog.querySelector(".stage");
    this.tabs = dialog.querySelector(".tabs");
    this.contrast = dialog.querySelector("#contrast");
    this.contrast.addEventListener("input", () => this.draw());
    dialog.querySelector("#close").addEventListener("click", () => dialog.close());
    window.addEventListener("resize", () => dialog.open && this.layOut());
  }

  async open(name, volumes, region = 0) {
    this.name = name;
    this.volumes = volumes;
    this.dialog.querySelector("h3").textContent = name;
    this.tabs.replaceChildren(...volumes.map((volume, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = volume.name || "scan";
      button.setAttribute("aria-pressed", String(index === region));
      button.addEventListener("click", () => this.open(name, volumes, index));
      return button;
    }));
    this.tabs.hidden = volumes.length < 2;
    const volume = volumes[region], size = volume.shape.reduce((product, count) => product * count);
    this.volume = volume;
    this.masks = ["mask", "reference"].filter((kind) => volume[kind]).map((kind) => ({ kind, values: unpackRuns(volume[kind], size) }));
    this.grey = await unpackPicture(volume);
    this.at = [...volume.start];
    this.active = "coronal";
    if (!this.dialog.open) this.dialog.showModal();
    this.build();
  }

  build() {
    this.panes = {};
    this.stage.replaceChildren(...Object.entries(PLANES).map(([plane, axes]) => {
      const figure = document.createElement("figure");
      figure.className = plane;
      figure.innerHTML = '<div class="frame"><canvas></canvas><i class="west"></i><i class="east"></i><i class="north"></i><i class="south"></i></div><input type="range" min="0"><figcaption></figcaption>';
      const canvas = figure.querySelector("canvas"), slider = figure.querySelector("input");
      slider.max = this.volume.shape[axes.across] - 1;
      slider.setAttribute("aria-label", plane + " slice");
      slider.addEventListener("input", () => this.move(plane, Number(slider.value) - this.at[axes.across]));
      canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.move(plane, Math.sign(event.deltaY)); }, { passive: false });
      const point = (event) => { if (event.buttons & 1) this.point(plane, event); };
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.active = plane; point(event); });
      canvas.addEventListener("pointermove", point);
      this.panes[plane] = { figure, canvas, slider, caption: figure.querySelector("figcaption") };
      return figure;
    }));
    this.layOut();
  }

  // Sizes of the canvases: one scale for all three, as large as the window allows.
  layOut() {
    const [slices, rows, columns] = this.volume.shape.map((count, axis) => count * this.volume.spacing[axis]);
    const scale = Math.min((Math.min(window.innerWidth * 0.96, 1700) - 80) / (slices + 2 * columns), (window.innerHeight * 0.96 - 160) / Math.max(rows, slices));
    for (const [plane, axes] of Object.entries(PLANES)) {
      const canvas = this.panes[plane].canvas, dense = window.devicePixelRatio || 1;
      const size = [axes.columns, axes.rows].map((axis) => this.volume.shape[axis] * this.volume.spacing[axis] * scale);
      [canvas.style.width, canvas.style.height] = size.map((length) => length + "px");
      [canvas.width, canvas.height] = size.map((length) => Math.max(1, Math.round(length * dense)));
    }
    this.draw();
  }

  turned(plane) {
    return plane !== "sagittal" && document.documentElement.classList.contains("radiological");
  }

  move(plane, step) {
    const axis = PLANES[plane].across;
    this.active = plane;
    this.at[axis] = Math.max(0, Math.min(this.volume.shape[axis] - 1, this.at[axis] + step));
    this.draw();
  }

  point(plane, event) {
    const axes = PLANES[plane], box = event.currentTarget.getBoundingClientRect();
    let across = (event.clientX - box.left) / box.width;
    if (this.turned(plane)) across = 1 - across;
    for (const [axis, share] of [[axes.columns, across], [axes.rows, (event.clientY - box.top) / box.height]])
      this.at[axis] = Math.max(0, Math.min(this.volume.shape[axis] - 1, Math.floor(share * this.volume.shape[axis])));
    this.draw();
  }

  // (row, column) -> index into the volume, for the slice of a plane that is shown.
  index(plane) {
    const axes = PLANES[plane], [, rows, columns] = this.volume.shape, place = [...this.at];
    return (row, column) => {
      place[axes.across] = this.at[axes.across];
      place[axes.rows] = row;
      place[axes.columns] = column;
      return (place[0] * rows + place[1]) * columns + place[2];
    };
  }

  draw() {
    for (const plane of Object.keys(PLANES)) this.drawPlane(plane);
  }

  drawPlane(plane) {
    const axes = PLANES[plane], pane = this.panes[plane], context = pane.canvas.getContext("2d");
    const rows = this.volume.shape[axes.rows], columns = this.volume.shape[axes.columns], index = this.index(plane);
    const slice = new ImageData(columns, rows), contrast = Number(this.contrast.value);
    for (let row = 0, at = 0; row < rows; row++)
      for (let column = 0; column < columns; column++, at += 4) {
        const grey = (this.grey[index(row, column)] - 128) * contrast + 128;
        slice.data[at] = slice.data[at + 1] = slice.data[at + 2] = grey;
        slice.data[at + 3] = 255;
      }
    const small = document.createElement("canvas");
    [small.width, small.height] = [columns, rows];
    small.getContext("2d").putImageData(slice, 0, 0);
    const { width, height } = pane.canvas, turned = this.turned(plane);
    context.setTransform(turned ? -1 : 1, 0, 0, 1, turned ? width : 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, width, height);
    const dx = width / columns, dy = height / rows, dense = window.devicePixelRatio || 1;
    if (!document.documentElement.classList.contains("bare"))
      for (const { kind, values } of this.masks) this.drawMask(context, kind, values, { index, rows, columns, dx, dy, dense });
    context.strokeStyle = "#ffffff88";
    context.lineWidth = dense;
    context.setLineDash([2 * dense, 4 * dense]);
    context.beginPath();
    const x = (this.at[axes.columns] + 0.5) * dx, y = (this.at[axes.rows] + 0.5) * dy;
    context.moveTo(x, 0); context.lineTo(x, height); context.moveTo(0, y); context.lineTo(width, y);
    context.stroke();
    context.setLineDash([]);
    this.label(plane, turned);
  }

  drawMask(context, kind, values, { index, rows, columns, dx, dy, dense }) {
    const numbers = new Set();
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) numbers.add(values[index(row, column)]);
    numbers.delete(0);
    for (const number of numbers) {
      context.strokeStyle = kind === "reference" ? "#fff" : this.colours(number);
      context.setLineDash(kind === "reference" ? [5 * dense, 3 * dense] : []);
      context.lineWidth = 1.8 * dense;
      context.beginPath();
      for (const [x1, y1, x2, y2] of outlineOf((row, column) => values[index(row, column)] === number, rows, columns)) {
        context.moveTo(x1 * dx, y1 * dy);
        context.lineTo(x2 * dx, y2 * dy);
      }
      context.stroke();
    }
  }

  label(plane, turned) {
    const axes = PLANES[plane], pane = this.panes[plane];
    const [west, east, north, south] = turned ? [axes.letters[1], axes.letters[0], ...axes.letters.slice(2)] : axes.letters;
    for (const [side, letter] of Object.entries({ west, east, north, south })) pane.figure.querySelector("." + side).textContent = letter;
    pane.slider.value = this.at[axes.across];
    pane.caption.textContent = `${plane}, slice ${this.at[axes.across] + 1} of ${this.volume.shape[axes.across]}`;
  }
}
