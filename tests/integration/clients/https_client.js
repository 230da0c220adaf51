// What Node's https makes of the proxy:  node https_client.js URL
//
// Prints one line for each of the things that it tried; a failure ends it with status 1.
"use strict";
const https = require("https");
const crypto = require("crypto");

const url = process.argv[2];
const body = crypto.randomBytes(1 << 20);

function put(agent, path, version) {
  return new Promise((resolve, reject) => {
    const options = { agent, method: "PUT", minVersion: version, maxVersion: version };
    const request = https.request(url + path, options, (response) => {
      const parts = [];
      const socket = response.socket;
      response.on("data", (part) => parts.push(part));
      response.on("end", () =>
        resolve({
          status: response.statusCode,
          text: Buffer.concat(parts).toString(),
          kept: request.reusedSocket,
          resumed: socket.isSessionReused(),
          protocol: socket.getProtocol(),
        })
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function main() {
  const expected = `${body.length} ${crypto.createHash("sha256").update(body).digest("hex")}\n`;
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    const agent = new https.Agent({ keepAlive: true });
    const first = await put(agent, "/up", version);
    const second = await put(agent, "/up", version);
    agent.destroy();
    const third = await put(agent, "/up", version);
    agent.destroy();
    const right = [first, second, third].every((each) => each.status === 201 && each.text === expected);
    console.log(first.protocol, right, second.kept, third.kept, third.resumed);
  }
  const agent = new https.Agent({ keepAlive: true, maxSockets: 20 });
  const all = await Promise.all(Array.from({ length: 20 }, (_, number) => put(agent, `/up${number}`)));
  console.log(all.filter((each) => each.text === expected).length, "at once");
  agent.destroy();
}

main().catch((error) => {
  console.log("failed:", error);
  process.exit(1);
});
