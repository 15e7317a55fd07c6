/** Servers for the tests: a falconws process, a line that can be cut, and a script. */

import { spawn, type ChildProcess } from "node:child_process";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

import type { Client, Status } from "./client/index";

/** An app behind `falconws serve`. */
export class Served {
  #process: ChildProcess | undefined;
  port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const words = ["-u", "-m", "falconws_cli", "serve", "served:app", "--drain", "0.5", "--port", `${this.port}`];
    const served = (this.#process = spawn(process.env.PYTHON!, words, { cwd: process.env.APP_FOLDER! }));
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const read = (data: Buffer) => {
        output += data;
        if (output.includes("Application startup complete")) resolve();
      };
      served.stdout!.on("data", read);
      served.stderr!.on("data", read);
      served.on("exit", () => reject(new Error(output)));
    });
    this.port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(output)![1]);
  }

  async stop(): Promise<void> {
    const served = this.#process!;
    const exited = new Promise((resolve) => served.on("exit", resolve));
    served.kill("SIGTERM");
    await exited;
  }
}

/** A TCP proxy whose connections can be cut, as a network does. */
export class Line {
  #sockets = new Set<Socket>();
  #server: Server;
  #isUp = true;

  constructor(target: () => number) {
    this.#server = createServer((here) => {
      if (!this.#isUp) return void here.destroy();
      const there = connect(target(), "127.0.0.1");
      for (const [from, to] of [[here, there], [there, here]] as const) {
        this.#sockets.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
      }
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isUp = false;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  mend(): void {
    this.#isUp = true;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

/** A server whose every move is the test's. */
export class Scripted {
  #server: WebSocketServer;
  #waiting: ((socket: Peer) => void)[] = [];
  #accepted: Peer[] = [];
  /** The status of a refusal; null accepts. */
  refuse: number | null = null;
  attempts = 0;
  urls: string[] = [];

  constructor() {
    this.#server = new WebSocketServer({
      port: 0,
      host: "127.0.0.1",
      verifyClient: (info: { req: { url?: string } }, answer: (ok: boolean, status?: number) => void) => {
        this.attempts++;
        this.urls.push(info.req.url ?? "");
        answer(this.refuse === null, this.refuse ?? undefined);
      },
    });
    this.#server.on("connection", (socket) => {
      const peer = new Peer(socket);
      const waiting = this.#waiting.shift();
      if (waiting) waiting(peer);
      else this.#accepted.push(peer);
    });
  }

  async listen(): Promise<void> {
    if (!this.#server.address()) await new Promise((resolve) => this.#server.once("listening", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next connection. */
  async accept(): Promise<Peer> {
    return this.#accepted.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }
}

export class Peer {
  #received: string[] = [];
  #waiting: ((text: string) => void)[] = [];

  constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => {
      const waiting = this.#waiting.shift();
      if (waiting) waiting(String(data));
      else this.#received.push(String(data));
    });
  }

  /** The next message of the client. */
  async receive(): Promise<any> {
    const text = this.#received.shift() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)));
    return JSON.parse(text);
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }
}

/** Wait for a status. */
export function becomes(client: Client<any>, status: Status): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (client.status !== status) return;
      stop();
      resolve();
    };
    const stop = client.onStatus(look);
    look();
  });
}

/** The next messages of a client that `wanted` picks. */
export function hear(client: Client<any>, wanted: (message: any) => boolean, count = 1): Promise<any[]> {
  const found: any[] = [];
  return new Promise((resolve) => {
    const stop = client.on("*", (message) => {
      if (!wanted(message)) return;
      found.push(message);
      if (found.length < count) return;
      stop();
      resolve(found);
    });
  });
}
