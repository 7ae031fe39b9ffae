// node node.js LAYOUT KEY.pem: the same questions as openssl.sh, by Node's own crypto.
const {createHash, createPublicKey, verify} = require("node:crypto");
const {readFileSync, readdirSync, existsSync} = require("node:fs");
const {join} = require("node:path");

const [layout, keyFile] = process.argv.slice(2);
const blobs = join(layout, "blobs", "sha256");
const hash = (data) => createHash("sha256").update(data).digest("hex");
const hexOf = (descriptor) => descriptor.digest.slice("sha256:".length);
const demand = (holds, what) => {
  if (!holds) {
    console.error(`refused: ${what}`);
    process.exit(1);
  }
};

for (const name of readdirSync(blobs)) {
  demand(hash(readFileSync(join(blobs, name))) === name, `${name} does not hash to its name`);
}
const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
const [subject, ...others] = index.manifests;
const manifest = JSON.parse(readFileSync(join(blobs, hexOf(subject)), "utf8"));
for (const member of [manifest.config, ...manifest.layers]) {
  demand(existsSync(join(blobs, hexOf(member))), `${member.digest} is missing`);
}
const pem = readFileSync(keyFile, "utf8");
const key = createPublicKey(pem);
const digestOf = key.asymmetricKeyType === "ed25519" ? null : "sha256";
let claims = 0;
for (const other of others) {
  const [layer] = JSON.parse(readFileSync(join(blobs, hexOf(other)), "utf8")).layers;
  const claim = JSON.parse(readFileSync(join(blobs, hexOf(layer)), "utf8"));
  if (claim.verificationMaterial.publicKey.hint !== hash(pem)) continue;
  const {payload, payloadType, signatures} = claim.dsseEnvelope;
  const body = Buffer.from(payload, "base64");
  const head = Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${body.length} `);
  const signature = Buffer.from(signatures[0].sig, "base64");
  demand(verify(digestOf, Buffer.concat([head, body]), key, signature), "a claim is not signed by this key");
  const said = JSON.parse(body.toString("utf8"));
  demand(said.subject[0].digest.sha256 === hexOf(subject), "a claim is about another bundle");
  claims += 1;
}
demand(claims > 0, "no claim of this key");
console.log(`${subject.digest}, ${claims} claims`);
