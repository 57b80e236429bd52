// A small client of the gateway, and a night booked with it.
//   node calendar.mjs "$(make -s token TENANT=acme ROLE=admin USER=ana)"

// --8<-- [start:call]
const API = "http://127.0.0.1:8000";
const token = async () => process.argv[2]; // with Clerk: () => clerk.session.getToken()

class Problem extends Error {
  constructor(problem) {
    super(problem.detail);
    Object.assign(this, problem);
    this.slug = problem.type.replace("/problems/", "");
  }
}

async function call(method, path, { body, headers = {} } = {}) {
  const response = await fetch(API + path, {
    method,
    headers: {
      Authorization: `Bearer ${await token()}`,
      ...(body && { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  if (response.ok) return response;
  throw new Problem(await response.json());
}
// --8<-- [end:call]

// --8<-- [start:write]
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
const LATER = ["unavailable", "rate-limited", "internal"];

// One intention of the user is one key, however often it is sent.
async function write(method, path, body, { version, key = crypto.randomUUID() } = {}) {
  const headers = { "Idempotency-Key": key };
  if (version) headers["If-Match"] = `"${version}"`;
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await call(method, path, { body, headers });
      return response.status === 202 ? await outcome(response.headers.get("Location")) : await response.json();
    } catch (error) {
      const passes = error instanceof TypeError || LATER.includes(error.slug); // TypeError: no connection
      if (!passes || attempt === 5) throw error;
      await pause(2 ** attempt / 2);
    }
  }
}

// 202: the command is taken and not decided yet.
async function outcome(location) {
  for (;;) {
    const command = await (await call("GET", location)).json();
    if (command.status === "accepted") return command.outcome.body;
    if (command.status === "rejected") throw new Problem(command.outcome.body);
    await pause(1);
  }
}
// --8<-- [end:write]

// --8<-- [start:list]
const bookings = new Map();

// Answers and socket messages come in any order: the higher version of a booking is the newer.
function take(booking) {
  const held = bookings.get(booking.id);
  if (!held || held.version < booking.version) bookings.set(booking.id, { ...held, ...booking });
}

// Give `Position` of the first page to the socket as `after.booking`: what happens from there on comes over it.
async function list(query) {
  let position;
  for (let cursor; cursor !== null; ) {
    const asked = new URLSearchParams({ ...query, limit: "200", ...(cursor && { cursor }) });
    const response = await call("GET", `/v1/bookings?${asked}`);
    position ??= Number(response.headers.get("Position"));
    const page = await response.json();
    page.items.forEach(take);
    cursor = page.next_cursor;
  }
  return position;
}
// --8<-- [end:list]

// --8<-- [start:book]
const artist = await write("POST", "/v1/artists", { name: "The Grateful Dead" });
const night = { start_time: "2027-05-08T20:00:00-04:00", end_time: "2027-05-08T23:30:00-04:00" };
const wish = { artist_id: artist.id, title: "Barton Hall", ...night };

// Show it before it is answered, and put the answer, or what was before, in its place.
async function book(wish) {
  const draft = { ...wish, id: crypto.randomUUID(), status: "pencil", version: 0 };
  take(draft);
  try {
    const booking = await write("POST", "/v1/bookings", wish);
    take(booking);
    return booking;
  } finally {
    bookings.delete(draft.id);
  }
}

const booking = await book(wish);
const confirmed = await write("POST", `/v1/bookings/${booking.id}/confirm`, undefined, { version: booking.version });
take(confirmed);
console.log(confirmed.status, "version", confirmed.version);
// --8<-- [end:book]

// --8<-- [start:conflict]
try {
  await book({ ...wish, title: "Barton Hall, again" });
} catch (error) {
  if (error.slug !== "booking-conflict") throw error;
  console.log("in the way:", error.conflicts.map((conflict) => conflict.start_time).join(", "));
  console.log("would work:", error.next_free.map((window) => window.start_time).join(", "));
  const booked = await book({ ...wish, ...error.next_free[0] }); // the user has chosen; a new key goes with it
  console.log("booked instead:", booked.start_time);
}
// --8<-- [end:conflict]

// --8<-- [start:stale]
try {
  await write("PATCH", `/v1/bookings/${booking.id}`, { venue: "Ithaca" }, { version: booking.version });
} catch (error) {
  console.log(error.slug, error.status); // somebody was faster: read it again and ask the user
}
// --8<-- [end:stale]

console.log("position", await list({ artist_id: artist.id }), "bookings", bookings.size);
