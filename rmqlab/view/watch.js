// Shows a broker as it is now: a picture, and the counts that come after it.
const NAMESPACE = "http://www.w3.org/2000/svg";

function write(svg, { texts = [], bars = [], words = "" }, note) {
  svg.querySelectorAll(".now").forEach((each) => each.remove());
  for (const [x, y, length] of bars) {
    const bar = document.createElementNS(NAMESPACE, "rect");
    for (const [name, value] of Object.entries({ x, y, width: length, height: 4, fill: "#D55E00", class: "now" })) {
      bar.setAttribute(name, value);
    }
    svg.append(bar);
  }
  for (const [x, y, content, late] of texts) {
    const text = document.createElementNS(NAMESPACE, "text");
    const look = { x, y, "font-size": 11, "text-anchor": "middle", fill: late ? "#666666" : "#222222", class: "now" };
    for (const [name, value] of Object.entries(look)) text.setAttribute(name, value);
    text.textContent = content;
    svg.append(text);
  }
  note.textContent = words;
}

function render({ model, el }) {
  const stage = document.createElement("div"), note = document.createElement("p");
  stage.style.overflowX = "auto";
  note.setAttribute("role", "status");
  el.append(stage, note);
  let updates = 0;
  const draw = () => {
    if (!stage.firstElementChild) return;
    write(stage.firstElementChild, model.get("now"), note);
    el.dataset.updates = updates += 1;
  };
  const begin = () => {
    stage.innerHTML = model.get("picture");
    draw();
  };
  model.on("change:picture", begin);
  model.on("change:now", draw);
  begin();
  return () => {
    model.off("change:picture", begin);
    model.off("change:now", draw);
  };
}

export default { render };
