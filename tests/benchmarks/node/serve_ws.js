// Node's ws: PORT. Compression is off by default.
const { WebSocketServer } = require("ws");

new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) }).on("connection", (socket, request) => {
  const media = request.url === "/media";
  socket.on("message", (data, binary) => {
    if (media) socket.send(JSON.stringify(JSON.parse(data)));
    else socket.send(data, { binary });
  });
});
