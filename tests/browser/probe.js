// Works the page as a reader would, and leaves what it saw in the document.
"use strict";
addEventListener("load", () => {
  const seen = {};
  const viewer = document.getElementById("viewer");
  if (viewer) {
    const amount = document.getElementById("amount");
    const handle = viewer.querySelector(".handle");
    const isShown = (node) => getComputedStyle(node).visibility === "visible";
    const over = () => [...viewer.querySelectorAll(".over")].find(isShown);
    const press = (key) => viewer.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    const width = viewer.getBoundingClientRect().width;
    const line = () => Math.round((100 * (handle.offsetLeft + 1)) / width);
    viewer.setPointerCapture = () => {};
    const point = (type, share) => {
      const box = viewer.getBoundingClientRect();
      const at = { clientX: box.left + share * box.width, clientY: box.top + 9 };
      viewer.dispatchEvent(new PointerEvent(type, { pointerId: 1, button: 0, ...at }));
    };
    seen.start = line();
    amount.value = "20";
    amount.dispatchEvent(new Event("input"));
    seen.slid = line();
    seen.clip = getComputedStyle(over()).clipPath;
    press("ArrowRight");
    seen.stepped = line();
    point("pointerdown", 0.5);
    point("pointermove", 0.75);
    point("pointerup", 0.75);
    point("pointermove", 0.1);
    seen.dragged = line();
    seen.shown = over().className;
    press(" ");
    seen.toggled = over().className;
    document.querySelector('input[name="mode"][value="checker"]').click();
    seen.mask = getComputedStyle(over()).maskImage.slice(0, 14);
    document.querySelector('input[name="mode"][value="blend"]').click();
    amount.value = "30";
    amount.dispatchEvent(new Event("input"));
    seen.opacity = getComputedStyle(over()).opacity;
    document.querySelector('input[name="mode"][value="swipe"]').click();
    seen.kept = line();
    document.getElementById("zoom-in").click();
    press("ArrowLeft");
    seen.zoom = document.getElementById("zoom-level").textContent;
    seen.size = getComputedStyle(over()).backgroundSize;
    seen.pan = viewer.style.getPropertyValue("--pan-x");
    press("-");
  }
  seen.images = [...document.images].map((image) => image.naturalWidth);
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name.slice(0, 5));
  const edge = document.documentElement.clientWidth;
  const isCut = (node) => node.closest(".scroll, .viewer, svg, .hidden, .skip") !== null;
  seen.width = innerWidth;
  seen.overflow = document.documentElement.scrollWidth - edge;
  seen.overflowing = [...document.body.querySelectorAll("*")]
    .filter((node) => node.getBoundingClientRect().right > edge + 0.5 && !isCut(node))
    .map((node) => `${node.tagName}.${node.className} ${node.textContent.slice(0, 40)}`);
  dispatchEvent(new Event("beforeprint"));
  seen.printed = [...document.querySelectorAll("details")].every((section) => section.open);
  dispatchEvent(new Event("afterprint"));
  const note = document.createElement("pre");
  note.id = "probe";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
});
