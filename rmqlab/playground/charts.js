// Four small charts that go on: columns of numbers come from the kernel, a row each quarter of a second.
const WIDTH = 250, HEIGHT = 110, LEFT = 34, TOP = 18, FLOOR = 96;

function draw(canvas, [title, unit, ...lines], columns) {
  const ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: WIDTH * ratio, height: HEIGHT * ratio });
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  Object.assign(pen, { fillStyle: "#fff", font: "11px system-ui, sans-serif" });
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  const times = columns.time_s ?? [], last = times[times.length - 1] ?? 0, span = 60;
  const values = lines.flatMap(([name]) => columns[name] ?? []).filter((value) => value !== null);
  const most = Math.max(1, ...values);
  const x = (time) => LEFT + (1 - (last - time) / span) * (WIDTH - LEFT - 4);
  const y = (value) => FLOOR - (value / most) * (FLOOR - TOP);
  Object.assign(pen, { fillStyle: "#222222", textAlign: "left" });
  pen.fillText(`${title} (${unit})`, LEFT, 11);
  pen.textAlign = "right";
  pen.fillText(most >= 10 ? most.toFixed(0) : most.toFixed(1), LEFT - 3, TOP + 4);
  pen.fillText("0", LEFT - 3, FLOOR);
  pen.fillText("now", WIDTH - 4, HEIGHT - 3);
  pen.fillText("60 s ago", LEFT + 44, HEIGHT - 3);
  const words = [];
  for (const [name, label, color] of lines) {
    const column = columns[name] ?? [];
    pen.beginPath();
    let isDrawn = false;
    column.forEach((value, i) => {
      if (value === null) isDrawn = false;
      else if (isDrawn) pen.lineTo(x(times[i]), y(value));
      else pen.moveTo(x(times[i]), y(value)), (isDrawn = true);
    });
    Object.assign(pen, { strokeStyle: color, lineWidth: 1.5 });
    pen.stroke();
    const now = column[column.length - 1];
    words.push(`${label} ${now === null || now === undefined ? "unknown" : now.toFixed(0)}`);
  }
  canvas.setAttribute("aria-label", `${title}: ${words.join(", ")} ${unit}`);
  return lines.map(([, , color], i) => [words[i], color]);
}

function render({ model, el }) {
  const row = document.createElement("div");
  row.style.cssText = "display: flex; flex-wrap: wrap; gap: 8px; background: #fff; color: #222; padding: 4px";
  el.append(row);
  const charts = model.get("charts").map((chart) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const legend = document.createElement("figcaption");
    canvas.style.cssText = `width: ${WIDTH}px; height: ${HEIGHT}px`;
    canvas.setAttribute("role", "img");
    figure.style.margin = "0";
    legend.style.cssText = `font: 11px system-ui, sans-serif; max-width: ${WIDTH}px`;
    figure.append(canvas, legend);
    row.append(figure);
    return [chart, canvas, legend];
  });
  const list = document.createElement("ol");
  list.style.cssText = "font: 14px/1.5 system-ui, sans-serif; margin: 4px 0; padding-left: 3.5em; flex-basis: 100%";
  row.append(list);
  const update = () => {
    for (const [chart, canvas, legend] of charts) {
      const parts = draw(canvas, chart, model.get("columns")).map(([words, color]) => {
        const part = document.createElement("span");
        part.style.cssText = `border-left: 10px solid ${color}; padding-left: 4px; margin-right: 8px`;
        part.textContent = words;
        return part;
      });
      legend.replaceChildren(...parts);
    }
  };
  const check = () => {
    list.replaceChildren(...model.get("challenges").map(([words, isDone]) => {
      const item = document.createElement("li");
      item.textContent = `${isDone ? "✓ done: " : ""}${words}`;
      if (isDone) item.style.fontWeight = "bold";
      return item;
    }));
  };
  model.on("change:columns", update);
  model.on("change:challenges", check);
  update();
  check();
}

export default { render };
