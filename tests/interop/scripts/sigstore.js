// node sigstore.js KEY.pem CLAIM.json… [-- TSA.pem…]: claims by Sigstore's own verifier (npm
// @sigstore/verify), told to trust one key and to ask no log. With certificates of a time stamp
// authority, the authority's own first, each claim must also have a stamp of it.
const {X509Certificate, createPublicKey} = require("node:crypto");
const {readFileSync} = require("node:fs");
const {bundleFromJSON} = require("@sigstore/bundle");
const {toSignedEntity, toTrustMaterial, Verifier} = require("@sigstore/verify");

const [keyFile, ...rest] = process.argv.slice(2);
const cut = rest.indexOf("--");
const claims = cut < 0 ? rest : rest.slice(0, cut);
const certificates = (cut < 0 ? [] : rest.slice(cut + 1)).map((file) => ({
  rawBytes: new X509Certificate(readFileSync(file)).raw,
}));
const timestampAuthorities = certificates.length
  ? [{certChain: {certificates}, validFor: {start: new Date(0)}}]
  : [];
const empty = {mediaType: "", certificateAuthorities: [], tlogs: [], ctlogs: []};
const key = createPublicKey(readFileSync(keyFile, "utf8"));
const trust = toTrustMaterial({...empty, timestampAuthorities}, () => ({
  publicKey: key, validFor: () => true,
}));
const stamps = certificates.length ? 1 : 0;
const options = {tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: stamps, tsaThreshold: stamps};
for (const claim of claims) {
  const bundle = bundleFromJSON(JSON.parse(readFileSync(claim, "utf8")));
  new Verifier(trust, options).verify(toSignedEntity(bundle));
}
