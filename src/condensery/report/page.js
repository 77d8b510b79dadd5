"use strict";
for (const tools of document.querySelectorAll(".tools")) {
  const classes = tools.nextElementSibling, count = tools.querySelector(".count");
  const all = [...classes.querySelectorAll(".class")];
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.querySelector(".filter").addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase();
    let shown = 0;
    for (const one of all) {
      one.hidden = !one.dataset.name.includes(words);
      shown += !one.hidden;
    }
    count.textContent = shown === all.length ? `${shown} classes` : `${shown} of ${all.length} classes`;
  });
  tools.querySelector(".zoom").addEventListener("input", (event) => {
    classes.style.setProperty("--zoom", event.target.value);
  });
  tools.querySelector(".real")?.addEventListener("change", (event) => {
    classes.classList.toggle("alone", !event.target.checked);
  });
}
for (const previews of document.querySelectorAll(".previews")) {
  const images = [...previews.querySelectorAll("img")], said = previews.querySelector("output");
  previews.querySelector(".slider").addEventListener("input", (event) => {
    images.forEach((image, i) => { image.hidden = i !== Number(event.target.value); });
    said.textContent = `update ${images[event.target.value].dataset.step}`;
  });
}
