"use strict";
(() => {
  const MAX_ZOOM = 8;
  const MODES = {
    swipe: { label: "Position of the line", value: 50 },
    checker: { label: "Size of the fields", value: 35 },
    blend: { label: "Strength of the moving image", value: 50 },
  };
  const viewer = document.getElementById("viewer");

  function setUpViewer() {
    const amount = document.getElementById("amount");
    const label = document.getElementById("amount-label");
    const level = document.getElementById("zoom-level");
    const zoomIn = document.getElementById("zoom-in");
    const zoomOut = document.getElementById("zoom-out");
    const state = { zoom: 1, panX: 50, panY: 50 };
    const values = { swipe: 50, checker: 35, blend: 50 };
    let drag = null;

    const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
    const mode = () => viewer.dataset.mode;

    function showAmount() {
      const value = Number(amount.value);
      values[mode()] = value;
      viewer.style.setProperty("--amount", `${value}%`);
      viewer.style.setProperty("--tile", `${Math.round(40 + value * value * 0.08) * 2}px`);
    }
    function setAmount(value) {
      amount.value = String(clamp(value, 0, 100));
      showAmount();
    }
    function setMode(name) {
      viewer.dataset.mode = name;
      label.textContent = MODES[name].label;
      setAmount(values[name]);
    }
    function setWhen(name) {
      viewer.dataset.when = name;
    }
    function setPan(x, y) {
      state.panX = clamp(x, 0, 100);
      state.panY = clamp(y, 0, 100);
      viewer.style.setProperty("--pan-x", `${state.panX}%`);
      viewer.style.setProperty("--pan-y", `${state.panY}%`);
    }
    function setZoom(zoom) {
      state.zoom = clamp(zoom, 1, MAX_ZOOM);
      viewer.style.setProperty("--zoom", String(state.zoom));
      viewer.toggleAttribute("data-zoomed", state.zoom > 1);
      viewer.toggleAttribute("data-fine", state.zoom >= 4);
      level.textContent = `${state.zoom}×`;
      zoomIn.disabled = state.zoom === MAX_ZOOM;
      zoomOut.disabled = state.zoom === 1;
      if (state.zoom === 1) setPan(50, 50);
    }
    function lineAt(event) {
      const box = viewer.getBoundingClientRect();
      setAmount((100 * (event.clientX - box.left)) / box.width);
    }
    function isNearLine(event) {
      const box = viewer.getBoundingClientRect();
      return Math.abs(event.clientX - box.left - (values.swipe / 100) * box.width) < 28;
    }

    viewer.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (mode() === "swipe" && (state.zoom === 1 || isNearLine(event))) {
        drag = { kind: "line" };
        lineAt(event);
      } else if (state.zoom > 1) {
        drag = { kind: "pan", x: event.clientX, y: event.clientY, panX: state.panX, panY: state.panY };
      } else return;
      viewer.setPointerCapture(event.pointerId);
    });
    viewer.addEventListener("pointermove", (event) => {
      if (!drag) return;
      if (drag.kind === "line") return lineAt(event);
      const box = viewer.getBoundingClientRect();
      const reach = 100 / (state.zoom - 1);
      setPan(
        drag.panX - ((event.clientX - drag.x) / box.width) * reach,
        drag.panY - ((event.clientY - drag.y) / box.height) * reach,
      );
    });
    for (const name of ["pointerup", "pointercancel"]) viewer.addEventListener(name, () => (drag = null));
    viewer.addEventListener("dblclick", () => setZoom(state.zoom >= MAX_ZOOM ? 1 : state.zoom * 2));

    function checkRadio(name, value) {
      const radio = document.querySelector(`input[name="${name}"][value="${value}"]`);
      if (radio) radio.checked = true;
      return radio;
    }
    function toggleWhen() {
      const next = viewer.dataset.when === "after" ? "before" : "after";
      if (checkRadio("when", next)) setWhen(next);
    }
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    viewer.addEventListener("keydown", (event) => {
      const step = arrows[event.key];
      if (step && state.zoom > 1) setPan(state.panX + 5 * step[0], state.panY + 5 * step[1]);
      else if (step && step[0]) setAmount(Number(amount.value) + 2 * step[0]);
      else if (event.key === " ") toggleWhen();
      else if (event.key === "+" || event.key === "=") setZoom(state.zoom * 2);
      else if (event.key === "-") setZoom(state.zoom / 2);
      else return;
      event.preventDefault();
    });

    amount.addEventListener("input", showAmount);
    zoomIn.addEventListener("click", () => setZoom(state.zoom * 2));
    zoomOut.addEventListener("click", () => setZoom(state.zoom / 2));
    for (const radio of document.querySelectorAll('input[name="mode"]')) radio.addEventListener("change", () => setMode(radio.value));
    for (const radio of document.querySelectorAll('input[name="when"]')) radio.addEventListener("change", () => setWhen(radio.value));
    const checkedMode = document.querySelector('input[name="mode"]:checked');
    const checkedWhen = document.querySelector('input[name="when"]:checked');
    setZoom(1);
    setMode(checkedMode.value);
    if (checkedWhen) setWhen(checkedWhen.value);
  }

  function setUpSections() {
    const sections = [...document.querySelectorAll("details")];
    const openTarget = () => {
      const target = location.hash && document.getElementById(location.hash.slice(1));
      if (target instanceof HTMLDetailsElement) target.open = true;
    };
    addEventListener("hashchange", openTarget);
    openTarget();
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = sections.filter((section) => !section.open);
      for (const section of closed) section.open = true;
    });
    addEventListener("afterprint", () => {
      for (const section of closed) section.open = false;
    });
  }

  if (viewer) setUpViewer();
  setUpSections();
})();
