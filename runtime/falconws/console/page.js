"use strict";
// The behaviour of the page. What it shows comes from the server as trees of elements (see tree.py).

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

const LINES = 200;
const CHARACTERS = 4000;
const AGAIN_MS = 500;
const RESTART = 1012;

let app, live, before;
let calls = 0;
const shown = new Map();

function build(tree) {
  if (typeof tree === "string") return tree;
  const [tag, attributes, ...children] = tree;
  const node = document.createElement(tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  node.append(...children.map(build));
  return node;
}

// Addresses: the application is one level above this page, below whatever root path a proxy has.

const base = new URL("..", location);
function socketUrl(path) {
  const url = new URL(path.slice(1), base);
  url.protocol = base.protocol.replace("http", "ws");
  return url;
}
const targetOf = (url) => "/" + url.pathname.slice(base.pathname.length) + url.search;

// Fields

// The server is to judge a value, so what is not JSON is sent as a string. An empty field is left out.
function valueOf({ value, dataset: { kind, required } }) {
  if (value === "" && (kind !== "text" || required === undefined)) return;
  if (kind === "text") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
function blame(field, text) {
  field.parentNode.lastChild.textContent = text;
  text ? field.setAttribute("aria-invalid", true) : field.removeAttribute("aria-invalid");
}

function toBytes(text) {
  const digits = text.replace(/\s/g, "");
  const pairs = digits.match(/../g) ?? [];
  return /^([0-9a-f]{2})*$/i.test(digits) && Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
}
const toHex = (data) => Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, 0)).join(" ");

// Connections

function connectPane(pane, closeCodes) {
  const connect = $(".connect", pane);
  const send = $(".send", pane);
  const list = $(".log", pane);
  const state = $("[role=status]", pane);
  const alert = $("[role=alert]", pane);
  const select = $(".row select", send);
  const started = new Map();
  let socket, closing, message;
  let events = [];

  function log(kind, text, note, bad) {
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const time = new Date().toTimeString().slice(0, 8);
    // Lines may break behind a comma.
    const parts = text.slice(0, CHARACTERS).split(/(?<=,)/).flatMap((part) => [["wbr", {}], part]);
    list.append(build(["li", { class: bad ? "bad" : kind }, ["b", {}, kind], ["pre", {}, ...parts], ["small", {}, note || time]]));
    if (list.childElementCount > LINES) list.firstChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
  function logBytes(kind, data) {
    const hex = toHex(data);
    events.push({ [kind + "Hex"]: hex.replace(/ /g, "") });
    log(kind, hex, data.byteLength + " bytes");
  }
  function show(text, open) {
    state.textContent = text;
    state.classList.toggle("on", open);
    $("button", connect).textContent = socket ? "Disconnect" : "Connect";
    $("fieldset", send).disabled = !open;
    $(".fields", connect).hidden = open;
  }
  function choose() {
    for (const each of $$("[data-message]", send)) {
      each.hidden = each.dataset.message !== select.value;
      if (!each.hidden) message = each;
    }
  }
  const fields = () => $$("[name]", message);

  // The handshake

  function address() {
    let path = connect.dataset.path;
    let search = "";
    const query = new URLSearchParams();
    for (const field of $$("[name]", connect)) {
      const { name, value, dataset } = field;
      if (dataset.in === "path") path = path.replace(`{${name}}`, () => encodeURIComponent(value));
      if (dataset.in === "rest") path = path.replace(`{${name}}`, () => value);
      if (dataset.in === "whole") path = value;
      if (dataset.in === "search") search = value;
      if (dataset.in === "query" && valueOf(field) !== undefined) query.set(name, value);
    }
    const url = socketUrl(path);
    url.search ||= search || query;
    return url;
  }
  function subprotocols() {
    const offered = $("[data-in=subprotocols]", connect)?.value ?? connect.dataset.subprotocol ?? "";
    return offered.split(",").map((name) => name.trim()).filter(Boolean);
  }
  function open() {
    const url = address();
    const byKeyboard = connect.contains(document.activeElement);
    let isOpen;
    for (const field of $$("[name]", connect)) blame(field, "");
    closing = pane.waits = false;
    try {
      socket = new WebSocket(url, subprotocols());
    } catch (error) {
      return log("refused", error.message);
    }
    const ws = socket;
    ws.binaryType = "arraybuffer";
    events = [];
    show("connecting", false);
    ws.onopen = () => {
      isOpen = true;
      show(`connected to ${targetOf(url)} ${ws.protocol && `with ${ws.protocol}`}`, true);
      log("open", targetOf(url));
      if (byKeyboard) fields()[0]?.focus();
    };
    ws.onmessage = ({ data }) => (typeof data === "string" ? receive(data) : logBytes("received", data));
    ws.onclose = ({ code, reason }) => {
      socket = undefined;
      started.clear();
      pane.waits = isOpen && !closing && (code === RESTART || live.readyState !== WebSocket.OPEN);
      // The form is disabled from now on, and cannot keep the focus.
      if (send.contains(document.activeElement)) $("button", connect).focus();
      show(pane.waits ? "waiting for the server" : "not connected", false);
      if (!isOpen) return explain(url);
      if (!closing) events.push({ closed: code });
      log("closed", `${code} ${reason || closeCodes[code] || ""}`);
    };
  }
  // A browser does not tell a page why a handshake failed. The console has seen it on the server.
  async function explain(url) {
    const response = await fetch("refusal?target=" + encodeURIComponent(targetOf(url))).catch(() => undefined);
    const why = await response?.json();
    if (!why) return log("refused", "The server does not answer, or has refused the handshake before the application saw it.");
    events.push({ refused: why.status });
    log("refused", why.text);
    if (why.hint) log("note", why.hint);
    const [, name] = why.text.match(/["'](\w+)["']/) ?? [];
    const field = $$("[data-in=query]", connect).find((each) => each.name === name);
    if (field) blame(field, why.text.split("\n").find((line) => line.includes(name)));
  }

  // Messages

  function receive(text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch {}
    const since = started.get(value?.id);
    const failed = message.dataset.kind === "typed" && value?.type === "error";
    started.delete(value?.id);
    events.push({ received: text });
    log("received", text, since && `${(performance.now() - since).toFixed(1)} ms`, failed);
    if (!failed || (value.received ?? select.value) !== select.value) return;
    const [, name] = value.path?.match(/^\$\.(\w+)/) ?? [];
    const field = fields().find((each) => each.name === name);
    if (!field) alert.textContent = value.message;
    else blame(field, value.message);
    if (field && send.contains(document.activeElement)) field.focus();
  }
  function compose() {
    if (message.dataset.kind !== "typed") return fields()[0].value;
    const value = { type: select.value };
    if (message.dataset.call !== undefined) started.set((value.id = ++calls), performance.now());
    for (const field of fields()) value[field.name] = valueOf(field);
    return JSON.stringify(value);
  }
  function submit() {
    const text = compose();
    alert.textContent = "";
    for (const field of fields()) blame(field, "");
    if (message.dataset.kind === "binary") {
      const data = toBytes(text);
      if (!data) return blame(fields()[0], "This is not hexadecimal.");
      socket.send(data);
      return logBytes("sent", data);
    }
    socket.send(text);
    events.push({ sent: text });
    log("sent", text);
    if (message.dataset.kind === "text") fields()[0].value = "";
  }

  connect.onsubmit = (event) => {
    event.preventDefault();
    if (!socket) return open();
    closing = true;
    socket.close(1000);
  };
  send.onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  send.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target.tagName !== "TEXTAREA") return;
    event.preventDefault();
    send.requestSubmit();
  };
  select.onchange = choose;
  $(".clear", pane).onclick = () => {
    events = [];
    list.replaceChildren();
  };
  for (const button of $$("[data-copy]", pane)) button.onclick = async () => {
    const url = address();
    const body = JSON.stringify({ ...connect.dataset, url: url.href, target: targetOf(url), subprotocols: subprotocols(), events });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch("snippet/" + button.dataset.copy, { method: "POST", headers, body });
    offer("Copy as " + button.textContent, await response.text());
  };
  choose();
  pane.open = open;
}

function offer(title, text) {
  const dialog = $("#copy");
  const area = $("textarea", dialog);
  const [copy, close] = $$("button", dialog);
  $("h2", dialog).textContent = title;
  area.value = text;
  copy.textContent = "Copy";
  copy.onclick = () => {
    area.select();
    document.execCommand("copy");
    copy.textContent = "Copied";
  };
  close.onclick = () => dialog.close();
  area.setSelectionRange(0, 0);
  dialog.showModal();
}

function connectEcho(form) {
  form.onsubmit = (event) => {
    event.preventDefault();
    const status = form.nextSibling;
    const ws = new WebSocket(socketUrl(form.dataset.path));
    let since;
    ws.onopen = () => {
      since = performance.now();
      ws.send($("input", form).value);
    };
    ws.onmessage = ({ data }) => {
      status.textContent = `“${data}” came back in ${(performance.now() - since).toFixed(1)} ms.`;
      ws.close(1000);
    };
    ws.onerror = () => (status.textContent = "No connection: see the log of the server.");
  };
}

// Views

// What a view was built from is kept with it: a view that has not changed keeps its connections.
function view(entry) {
  const from = JSON.stringify(entry);
  const kept = shown.get(entry.name);
  if (kept?.from === from) return kept.node;
  const node = build(entry.view);
  shown.set(entry.name, { from, node });
  for (const pane of $$(".pane", node)) connectPane(pane, { ...app.closeCodes, ...entry.closeCodes });
  const echo = $("#echo", node);
  if (echo) connectEcho(echo);
  const add = $(".add", node);
  if (add) add.onclick = () => {
    add.remove();
    const pane = $(".pane[hidden]", node);
    pane.hidden = false;
    $("input, button", pane).focus();
  };
  return node;
}
function go() {
  const name = decodeURI(location.hash.slice(1));
  const found = app.views.find((each) => each.name === name) ?? app.views[0];
  $("main").replaceChildren(view(found));
  $$("nav a").forEach((link, place) => link.setAttribute("aria-current", app.views[place] === found ? "page" : false));
  if (live.readyState === WebSocket.OPEN) live.send(found.name);
}
$(".skip").onclick = (event) => {
  event.preventDefault();
  $("main").focus();
};
onhashchange = () => {
  go();
  $("main h2").focus();
};

// The server: the end of this connection says that it restarts, perhaps with other routes.

async function load() {
  const text = await (await fetch("app")).text();
  if (text !== before) {
    before = text;
    app = JSON.parse(text);
    document.title = app.title + " · falconws console";
    $("#title").textContent = app.title;
    $("#views").replaceChildren(...app.views.map(({ name, label }) => build(["li", {}, ["a", { href: "#" + name }, label]])));
  }
  go();
  for (const { node } of shown.values()) for (const pane of $$(".pane", node)) if (pane.waits) pane.open();
}
function listen() {
  live = new WebSocket(socketUrl("/_falconws/live"));
  live.onopen = async () => {
    await load();
    $("#server").textContent = "The server is up";
  };
  live.onmessage = ({ data }) => $("#rooms")?.replaceChildren(...JSON.parse(data).map(build));
  live.onclose = () => {
    $("#server").textContent = "Waiting for the server";
    setTimeout(listen, AGAIN_MS);
  };
}
listen();
