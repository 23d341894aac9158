// The line between two pictures follows its range input, so mouse, touch and keys all work by themselves.
for (const figure of document.querySelectorAll("[data-slider]")) {
  const ground = figure.querySelector("[data-ground]");
  const range = ground.querySelector("input");
  const pictures = [...ground.querySelectorAll("img")];
  const place = () => ground.style.setProperty("--at", `${range.value}%`);
  const choose = () => {
    for (const picture of pictures) picture.className = "hidden";
    for (const select of figure.querySelectorAll("select")) pictures[select.value].classList.add(select.dataset.side);
    for (const picture of pictures) if (picture.classList.length > 1) picture.classList.remove("hidden");
  };
  range.addEventListener("input", place);
  figure.addEventListener("change", choose);
  place(); // browsers keep the value over a reload
  choose();
}
