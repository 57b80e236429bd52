// Socket.IO's own server, fed through Redis as ours is: a room per tenant, the events of a channel to its room.
//
//   REDIS_URL=redis://USER:PASSWORD@HOST:PORT node fanout.mjs PORT
//
// A message on the channel `live:{TENANT}` is the stream's name on a line, then a line `POSITION PAYLOAD` per event, the
// payload being `[name, message]`. WebSocket only, no compression; nobody is asked for a token.
import { createServer } from "node:http";
import { createClient } from "redis";
import { Server } from "socket.io";

const port = Number(process.argv[2]);

const http = createServer((request, response) => {
  response.writeHead(request.url === "/readyz" ? 200 : 404, { "content-length": 0, connection: "close" }).end();
});
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
io.on("connection", (socket) => socket.join(socket.handshake.auth.room));

const redis = createClient({ url: process.env.REDIS_URL });
await redis.connect();
await redis.pSubscribe("live:*", (text, channel) => {
  const room = channel.slice("live:{".length, -1);
  for (const line of text.split("\n").slice(1)) {
    const [name, message] = JSON.parse(line.slice(line.indexOf(" ") + 1));
    io.to(room).emit(name, message);
  }
});
http.listen(port, "127.0.0.1");
