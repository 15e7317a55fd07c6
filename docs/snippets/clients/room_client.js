// A client for the rooms of docs/snippets/fan_out.py that reconnects and resumes.

// start: client
class RoomClient {
  // Codes after which a reconnect would fail again.
  static FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4403]);
  static FIRST_DELAY_MS = 500;
  static MAX_DELAY_MS = 30_000;

  constructor(url, onEvent) {
    this.url = url;
    this.onEvent = onEvent;
    this.position = null;
    this.attempts = 0;
    this.connect();
  }

  connect() {
    const url = new URL(this.url);
    if (this.position !== null) url.searchParams.set("since", this.position);
    this.socket = new WebSocket(url);
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = (close) => this.reconnect(close);
  }

  receive(event) {
    if (event.position) this.position = event.position;
    if (event.type === "welcome") this.attempts = 0;
    this.onEvent(event);
  }

  reconnect(close) {
    if (RoomClient.FINAL.has(close.code)) return;
    const longest = Math.min(RoomClient.MAX_DELAY_MS, RoomClient.FIRST_DELAY_MS * 2 ** this.attempts++);
    setTimeout(() => this.connect(), Math.random() * longest);
  }
}
// end: client
