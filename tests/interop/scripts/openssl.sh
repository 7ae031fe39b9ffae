#!/bin/sh
# sh openssl.sh LAYOUT KEY.pem: an unpacked bundle, judged by openssl and the shell alone.
# Every blob hashes to its name, every member is there, and every claim of this key is signed by it
# and about this manifest. Prints the content id and how many claims there were.
set -eu
layout=$1 key=$2
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
hash() { openssl dgst -sha256 -r "$1" | cut -d' ' -f1; }
refuse() { echo "refused: $1" >&2; exit 1; }

for blob in "$layout"/blobs/sha256/*; do
  [ "$(hash "$blob")" = "${blob##*/}" ] || refuse "$blob does not hash to its name"
done
manifest=$(grep -o '"digest":"sha256:[0-9a-f]*"' "$layout/index.json" | head -n 1 | cut -d: -f3 | tr -d '"')
for member in $(grep -o '"digest":"sha256:[0-9a-f]*"' "$layout/blobs/sha256/$manifest" | cut -d: -f3 | tr -d '"'); do
  [ -f "$layout/blobs/sha256/$member" ] || refuse "the member $member is missing"
done
claims=0
for claim in $(grep -l '^{"dsseEnvelope":' "$layout"/blobs/sha256/*); do
  field() { grep -o "\"$1\":\"[^\"]*\"" "$claim" | head -n 1 | cut -d'"' -f4; }
  [ "$(field hint)" = "$(hash "$key")" ] || continue
  field payload | openssl base64 -d -A > "$work/payload"
  field sig | openssl base64 -d -A > "$work/sig"
  { printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$work/payload")"
    cat "$work/payload"; } > "$work/pae"
  openssl pkeyutl -verify -rawin -pubin -inkey "$key" -in "$work/pae" -sigfile "$work/sig" \
    > /dev/null 2>&1 || refuse "$claim is not signed by this key"
  grep -q "\"subject\":\[{\"digest\":{\"sha256\":\"$manifest\"}" "$work/payload" \
    || refuse "$claim is about another bundle"
  claims=$((claims + 1))
done
[ "$claims" -gt 0 ] || refuse "no claim of this key"
echo "sha256:$manifest, $claims claims"
