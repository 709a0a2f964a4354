// Shows a broker as it is now: a picture that comes anew, and words where it is not of this moment.
function render({ model, el }) {
  const stage = document.createElement("div"), note = document.createElement("p");
  note.setAttribute("role", "status");
  el.append(stage, note);
  let updates = 0;
  const draw = () => {
    stage.innerHTML = model.get("picture");
    const picture = stage.firstElementChild;
    if (!picture) return;
    Object.assign(picture.style, { maxWidth: "100%", height: "auto" });
    el.dataset.updates = updates += 1;
  };
  const say = () => {
    note.textContent = model.get("words");
  };
  model.on("change:picture", draw);
  model.on("change:words", say);
  draw();
  say();
  return () => {
    model.off("change:picture", draw);
    model.off("change:words", say);
  };
}

export default { render };
