#!/bin/sh
# Makes the files that a gateway is started with, each once: what is there stays as it is. Needs openssl.
#
#   sh deploy/secrets.sh FOLDER PUBLIC_NAME [NAME_OF_A_ROLE]
#
# NAME_OF_A_ROLE is what the roles call each other by, with % where the role stands; default %, as in compose.yaml. For the
# chart: 'RELEASE-%.NAMESPACE.svc'. The authority of the roles is made here too: its key (inner-ca.key) is needed to make
# another certificate, and by no process; keep it elsewhere. The certificate of the door is signed by itself, for trying
# out: replace door.crt and door.key by those of an authority that parties know.
set -eu
umask 077
[ $# -ge 2 ] || { sed -n '2,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2; exit 2; }
folder=$1
public=$2
names=${3:-%}
days=825
# Who runs in the image.
owner=10001

mkdir -p "$folder"
cd "$folder"
missing() { [ ! -s "$1" ]; }
secret() { # A file, and what makes its content.
  missing "$1" || return 0
  printf '%s%s\n' "$3" "$(eval "$2")" > "$1.new"
  mv "$1.new" "$1"
}

secret database-password 'openssl rand -hex 24' ''
secret vault-database-password 'openssl rand -hex 24' ''
secret operator-key "openssl rand -hex 32" eduk_operator_
secret master-key 'openssl rand -hex 32' ''
secret log-key 'openssl genpkey -algorithm ed25519' ''

curve='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
if missing inner-ca.crt; then
  # shellcheck disable=SC2086
  openssl req -x509 $curve -days 3650 -subj '/CN=Edu-K roles' -keyout inner-ca.key -out inner-ca.crt \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
fi
for role in door desk core delivery watch vault; do
  missing "$role.inner.crt" || continue
  [ -s inner-ca.key ] || { echo "inner-ca.key is not here, so no certificate can be made for $role" >&2; exit 1; }
  name=$(echo "$names" | sed "s/%/$role/")
  # shellcheck disable=SC2086
  openssl req -new $curve -subj "/CN=$role" -keyout "$role.inner.key" -out "$role.inner.csr" 2>/dev/null
  {
    echo "subjectAltName=DNS:$name"
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'keyUsage=critical,digitalSignature'
    echo 'extendedKeyUsage=serverAuth,clientAuth'
  } > extensions
  openssl x509 -req -in "$role.inner.csr" -CA inner-ca.crt -CAkey inner-ca.key -set_serial "0x$(openssl rand -hex 16)" -days "$days" -extfile extensions \
    -out "$role.inner.crt" 2>/dev/null
  rm -f "$role.inner.csr" extensions
done
if missing door.crt; then
  # shellcheck disable=SC2086
  openssl req -x509 $curve -days "$days" -subj "/CN=$public" -keyout door.key -out door.crt \
    -addext "subjectAltName=DNS:$public" -addext basicConstraints=critical,CA:FALSE 2>/dev/null
fi

chmod 0400 ./*
if [ "$(id -u)" = 0 ]; then
  chown "$owner:$owner" ./*
else
  echo "Compose shows files as they are, and the gateway runs as $owner: sudo chown $owner:$owner $folder/*" >&2
fi
