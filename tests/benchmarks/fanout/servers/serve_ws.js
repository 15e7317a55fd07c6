// Node's ws: PORT. A set of sockets, and a loop over it.
const { WebSocketServer } = require("ws");

const room = new Set();
const perMessageDeflate = process.env.FANOUT_DEFLATE ? { threshold: 0 } : false;

new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate }).on("connection", (socket, request) => {
  if (request.url === "/sub") {
    room.add(socket);
    socket.on("close", () => room.delete(socket));
  } else if (request.url === "/pub") {
    socket.on("message", (data) => {
      const text = data.toString();
      for (const subscriber of room) subscriber.send(text);
    });
  } else socket.on("message", (data, binary) => socket.send(data, { binary }));
});
