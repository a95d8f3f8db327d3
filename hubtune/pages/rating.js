// Keys press the buttons of the page; without this script, the buttons do the same.
"use strict";

const keys = { 1: "a", ArrowLeft: "a", 2: "b", ArrowRight: "b", 0: "tie", t: "tie", u: "undo" };
let sent = false;

document.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const answer = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const button = answer && document.querySelector(`button[value="${answer}"]`);
  if (!button) return;
  event.preventDefault();
  button.focus();
  button.click();
});
// A page that the browser kept is about a pair that was answered since.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
