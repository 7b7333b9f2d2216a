// Everything works without this script. With it, the traffic list and running jobs keep
// themselves up to date, and code can be copied.
"use strict";

(() => {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  const fragment = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html; // made and escaped by our own server
    return template.content;
  };

  // For screen readers alone.
  const say = (text) => {
    document.querySelector("[data-say]").textContent = text.replace(/\s+/g, " ").trim();
  };

  // A job: show how far it is and the cells that it fills, and load the page anew once it
  // has ended. It is spoken of at its start, at each quarter, and after its end.
  const ended = "keyladder-ended";
  async function follow(box) {
    const bar = box.querySelector("progress");
    const text = box.querySelector("p");
    let cells = box.dataset.cells;
    let quarters = Math.floor(4 * bar.position);
    await pause(700);
    say(text.textContent);
    for (;;) {
      try {
        const answer = await fetch(`${box.dataset.poll}?after=${cells}`, { cache: "no-store" });
        if (!answer.ok || answer.headers.has("Job-Ended")) {
          sessionStorage.setItem(ended, box.dataset.job);
          location.reload();
          return;
        }
        cells = answer.headers.get("Job-Cells");
        const now = fragment(await answer.text());
        for (const { name, value } of now.querySelector("progress").attributes) bar.setAttribute(name, value);
        text.textContent = now.querySelector("p").textContent;
        now.querySelectorAll("td").forEach(fill);
        if (Math.floor(4 * bar.position) > quarters) {
          quarters = Math.floor(4 * bar.position);
          say(text.textContent);
        }
      } catch {
        await pause(2000); // the admin UI is being restarted
      }
      await pause(700);
    }
  }

  // A cell of the matrix that was measured just now.
  function fill(cell) {
    const old = document.querySelector(`td[data-cell="${CSS.escape(cell.dataset.cell)}"]`);
    const focused = old?.contains(document.activeElement);
    old?.replaceWith(cell);
    if (focused) cell.querySelector("a")?.focus({ preventScroll: true });
  }

  async function sayWhatCameOfIt() {
    if (!sessionStorage.getItem(ended)) return;
    sessionStorage.removeItem(ended);
    const result = document.querySelector("[data-result]");
    await pause(700);
    if (result) say(result.textContent);
  }

  // The traffic, and other lists: put what is new on top, in order of time.
  async function listen(list) {
    const state = document.querySelector("[data-live-state]");
    const empty = document.querySelector("[data-live-empty]");
    const show = (text, live) => {
      if (state.textContent !== text) state.textContent = text;
      state.classList.toggle("on", live);
    };
    let last = list.dataset.last;
    show("Live", true);
    for (;;) {
      try {
        const answer = await fetch(`${list.dataset.live}&after=${last}`, { cache: "no-store" });
        if (answer.status === 403) {
          show("Signed out: load the page again", false);
          return;
        }
        if (!answer.ok) throw new Error(answer.status);
        show("Live", true);
        last = answer.headers.get("Live-Last") ?? last;
        const count = document.querySelector("[data-total]");
        if (count && answer.headers.has("Live-Count")) count.textContent = answer.headers.get("Live-Count");
        const rows = [...fragment(await answer.text()).children].reverse();
        for (const row of rows) {
          if (row.id && document.getElementById(row.id)) continue; // it came before
          row.classList.add("new");
          let before = list.firstElementChild;
          while (before && before.dataset.at > row.dataset.at) before = before.nextElementSibling;
          list.insertBefore(row, before);
        }
        if (rows.length > 0) empty?.classList.add("away");
        while (list.children.length > Number(list.dataset.keep)) list.lastElementChild.remove();
      } catch {
        show("No answer, trying again …", false);
        await pause(2000);
      }
    }
  }

  // What to paste: of a console's text the commands, without prompts and answers.
  function commands(code) {
    const text = code.textContent.trimEnd();
    if (!code.classList.contains("language-console")) return text;
    return text.split("\n").filter((line) => line.startsWith("$ ")).map((line) => line.slice(2)).join("\n");
  }

  function offerCopy(block) {
    const code = block.querySelector("code");
    if (!code || !navigator.clipboard) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(commands(code));
      button.textContent = "Copied";
      await pause(1500);
      button.textContent = "Copy";
    });
    const frame = document.createElement("div");
    frame.className = "copyable";
    block.replaceWith(frame);
    frame.append(block, button);
  }

  // Of many links in a table, a diagram or a list the Tab key stops at one; arrow keys go on
  // from there.
  function rove(box) {
    const links = () => [...box.querySelectorAll("a")];
    const stopAt = (chosen) => {
      for (const link of links()) link.setAttribute("tabindex", link === chosen ? "0" : "-1");
    };
    const keepOne = () => stopAt(links().find((link) => link.getAttribute("tabindex") === "0") ?? links()[0]);
    keepOne();
    new MutationObserver(keepOne).observe(box, { childList: true, subtree: true });
    box.addEventListener("focusin", (event) => {
      const link = event.target.closest("a");
      if (link) stopAt(link);
    });
    box.addEventListener("keydown", (event) => {
      const from = event.target.closest("a");
      if (!from || !event.key.startsWith("Arrow")) return;
      const step = event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1;
      const to = from.closest("tr") && /Down|Up/.test(event.key) ? inColumn(from, step) : links()[links().indexOf(from) + step];
      if (!to) return;
      event.preventDefault();
      to.focus();
    });
  }

  // The Tab key stops at a box for the arrow keys to scroll it, which only a box that scrolls needs.
  function stopWhereItScrolls() {
    for (const box of document.querySelectorAll("pre, .picture, .time-line")) {
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  // The next link of the same column, in rows further down or up.
  function inColumn(from, step) {
    const column = from.closest("td, th").cellIndex;
    const rows = [...from.closest("table").rows];
    for (let i = rows.indexOf(from.closest("tr")) + step; rows[i]; i += step) {
      const link = rows[i].cells[column]?.querySelector("a");
      if (link) return link;
    }
    return null;
  }

  document.querySelectorAll("table.matrix, .strip, .contents, .attacks, .picture, .sequence-list, .lanes").forEach(rove);
  stopWhereItScrolls();
  addEventListener("resize", stopWhereItScrolls);
  document.querySelectorAll("[data-poll]").forEach(follow);
  sayWhatCameOfIt();
  document.querySelectorAll("[data-live]").forEach(listen);
  document.querySelectorAll(".narrative pre").forEach(offerCopy);
})();
