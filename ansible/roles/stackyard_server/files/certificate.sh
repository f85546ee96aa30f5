#!/bin/sh
# certificate.sh ADDRESS DAYS RENEW_DAYS
# An authority of the lab's own, once; under it a certificate for ADDRESS, made anew where it is missing, for another
# address, or ends within RENEW_DAYS. Prints "made" where it made one. Files appear whole or not at all.
set -eu
umask 077
address=$1 days=$2 renew=$3
root=${STACKYARD_SETTINGS:-/etc/stackyard} # tests have another
folder=$root/authority public=$root/tls
mkdir -p "$folder"
mkdir -p -m 755 "$public"
case $address in
  *[!0-9.]*) case $address in *:*) name="IP:$address" check=-checkip ;; *) name="DNS:$address" check=-checkhost ;; esac ;;
  *) name="IP:$address" check=-checkip ;;
esac
if [ ! -s "$folder/ca.crt" ] || [ ! -s "$folder/ca.key" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Stackyard lab authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$folder/ca.key.new" -out "$folder/ca.crt.new" 2>/dev/null
  mv "$folder/ca.key.new" "$folder/ca.key"
  mv "$folder/ca.crt.new" "$folder/ca.crt"
  rm -f "$folder/server.crt"
  echo "made an authority"
fi
if [ -s "$folder/server.crt" ] && [ -s "$folder/server.key" ] &&
  openssl x509 -in "$folder/server.crt" -noout -checkend $((renew * 86400)) >/dev/null &&
  openssl x509 -in "$folder/server.crt" -noout "$check" "$address" | grep -q 'does match'; then
  exit 0
fi
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=Stackyard server" \
  -keyout "$folder/server.key.new" -out "$folder/server.csr" 2>/dev/null
printf 'subjectAltName=%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$name" >"$folder/server.ext"
openssl x509 -req -in "$folder/server.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -days "$days" \
  -extfile "$folder/server.ext" -out "$folder/server.crt.new" 2>/dev/null
cat "$folder/ca.crt" >>"$folder/server.crt.new"
mv "$folder/server.key.new" "$folder/server.key"
mv "$folder/server.crt.new" "$folder/server.crt"
install -m 644 "$folder/ca.crt" "$public/ca.crt"
rm -f "$folder/server.csr" "$folder/server.ext"
echo "made a certificate for $address"
