// Codes after which a reconnect would fail again.
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4403]);
const element = (id) => document.getElementById(id);
const say = (text) => { element("status").textContent = text; };

class Bidding {
  constructor(itemId, onMessage) {
    this.path = `/items/${itemId}/bids`;
    this.onMessage = onMessage;
    this.position = null;
    this.attempts = 0;
    this.connect();
  }

  connect() {
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.position !== null) url.searchParams.set("since", this.position);
    this.socket = new WebSocket(url);
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.reconnect(code);
  }

  receive(message) {
    if (message.position) this.position = message.position;
    if (message.type === "welcome") this.attempts = 0;
    this.onMessage(message);
  }

  reconnect(code) {
    if (this.closed || FINAL.has(code)) return;
    say("Reconnecting ...");
    const longest = Math.min(15_000, 250 * 2 ** this.attempts++);
    this.timer = setTimeout(() => this.connect(), Math.random() * longest);
  }

  // Return false if there is no connection: the bidder decides whether to bid again.
  bid(amount) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ type: "bid", amount }));
    return true;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}

let bidding = null;
let present = new Set();

function watch(item) {
  bidding?.close();
  element("item").hidden = false;
  element("title").textContent = item.title;
  element("log").replaceChildren();
  showPrice(item.price, item.bidder);
  bidding = new Bidding(item.item_id, show);
}

function showPrice(price, bidder) {
  element("price").textContent = price;
  element("bidder").textContent = bidder ? `bid by ${bidder}` : "no bid yet";
}

function show(message) {
  switch (message.type) {
    case "welcome":
      present = new Set(message.present);
      say("");
      break;
    case "joined":
      present.add(message.member);
      break;
    case "left":
      present.delete(message.member);
      break;
    case "price":
      // Two workers may publish two bids in the other order: the price never falls.
      if (message.price > Number(element("price").textContent)) showPrice(message.price, message.bidder);
      element("log").prepend(entry(`${message.bidder} bids ${message.price}`));
      break;
    case "error":
      say(message.message);
      break;
    case "gap":
      say("Some bids are missing from the list.");
      break;
  }
  element("present").textContent = [...present].sort().join(", ");
}

function entry(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

async function load() {
  const response = await fetch("/items");
  element("sign-in").hidden = response.ok;
  if (!response.ok) return;
  const buttons = (await response.json()).items.map((item) => {
    const button = document.createElement("button");
    button.textContent = item.title;
    button.onclick = () => watch(item);
    const row = document.createElement("li");
    row.append(button);
    return row;
  });
  element("items").replaceChildren(...buttons);
}

element("sign-in").onsubmit = async (event) => {
  event.preventDefault();
  const headers = { Authorization: `Bearer ${element("token").value}` };
  const response = await fetch("/session", { method: "POST", headers });
  say(response.ok ? "" : "The token is not valid.");
  await load();
};

element("bid").onsubmit = (event) => {
  event.preventDefault();
  if (!bidding.bid(element("amount").valueAsNumber)) say("Not connected. Try again in a moment.");
};

await load();
