// Bun: PORT. Its native publish to a topic.
const TOPIC = "room";
const compress = Boolean(process.env.FANOUT_DEFLATE);

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (!server.upgrade(request, { data: { path } })) return new Response("Upgrade expected", { status: 426 });
  },
  websocket: {
    perMessageDeflate: compress,
    open(socket) {
      if (socket.data.path === "/sub") socket.subscribe(TOPIC);
    },
    message(socket, message) {
      if (socket.data.path === "/pub") socket.publish(TOPIC, message, compress);
      else socket.send(message);
    },
  },
});
