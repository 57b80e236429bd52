// Follow a tenant's calendar and miss nothing.
//   npm install socket.io-client
//   node follow.mjs "$(make -s token TENANT=acme ROLE=admin USER=ben)"
import { io } from "socket.io-client";

const URL = "http://127.0.0.1:8001";
const token = async () => process.argv[2]; // with Clerk: () => clerk.session.getToken()

const after = {}; // stream -> the last position we have
let epoch; // the history that these positions count in

// auth is a function, so that a reconnect says where we are by then
const socket = io(URL, { auth: async (send) => send({ token: await token(), after, epoch }) });

socket.on("ready", (message) => {
  epoch = message.epoch;
  for (const stream of ["booking", "tenancy"]) after[stream] ??= message[stream];
  console.log("ready");
});

socket.on("resync", ({ stream, position }) => {
  after[stream] = position; // read the lists again, then go on from here
  console.log("resync", stream, position);
});

socket.onAny((name, message) => {
  if (!message.type) return; // ready and resync are no events
  after[message.stream] = message.position;
  console.log(message.stream, message.position, name, message.data.title ?? message.data.name);
});

// A refusal (message: the slug, data: the problem) ends the attempts of the client; a lost connection does not.
socket.on("connect_error", (error) => {
  console.error(error.message);
  if (!socket.active && error.message !== "forbidden") setTimeout(() => socket.connect(), 2_000);
});

// A socket lives as long as its token: renew it, or be closed, connect again and resume.
setInterval(async () => {
  if (!socket.connected) return;
  const answer = await socket.timeout(5_000).emitWithAck("auth:renew", { token: await token() }).catch(() => undefined);
  if (answer?.error) console.error(answer.error.type);
}, 30_000).unref();
