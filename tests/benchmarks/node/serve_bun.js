// Bun's own WebSocket server (uWebSockets): PORT. Compression is off by default.
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const media = new URL(request.url).pathname === "/media";
    if (!server.upgrade(request, { data: { media } })) return new Response("Upgrade expected", { status: 426 });
  },
  websocket: {
    message(socket, message) {
      if (socket.data.media) socket.send(JSON.stringify(JSON.parse(message)));
      else socket.send(message);
    },
  },
});
