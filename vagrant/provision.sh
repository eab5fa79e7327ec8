#!/usr/bin/env bash
# Sets one of the Vagrantfile's machines up: provision.sh NAME HOSTS, as root.
# May be run again.
set -euo pipefail

name=$1 hosts=$2
san=/srv/flocker                # volumes live here, on all machines
ca=/srv/flocker-ca              # certificates on their way to the nodes, on `control`

install_packages() {
  local missing=()
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
  fi
}

# Names of the machines. Debian gives a host's own name to 127.0.1.1, which
# nobody else can reach.
sed -i '/^127\.0\.1\.1/d; /# flocker$/d' /etc/hosts
while read -r line; do echo "$line # flocker" >> /etc/hosts; done <<< "$hosts"

for program in flocker flocker-isolator; do
  [ -x "/vagrant/bin/$program" ] || { echo "/vagrant/bin/$program is missing: run 'make build' and 'vagrant rsync'" >&2; exit 1; }
  install -m 0755 "/vagrant/bin/$program" "/usr/local/bin/$program"
done
mkdir -p /etc/flocker "$san"
chmod 0700 /etc/flocker

control() {
  install_packages nfs-kernel-server curl
  id flocker >/dev/null 2>&1 || useradd --system --home-dir /var/lib/flocker --shell /usr/sbin/nologin flocker

  install -d -m 0700 "$ca"
  if [ ! -e "$ca/cluster.crt" ]; then
    flocker ca initialize vagrant -o "$ca"
    flocker ca create-control-certificate control "$CONTROL" -i "$ca" -o "$ca"
    flocker ca create-api-certificate user -i "$ca" -o "$ca"
  fi
  for node in $NODES; do
    if [ ! -e "$ca/$node/node.crt" ]; then
      mkdir -p "$ca/$node"
      flocker ca create-node-certificate -i "$ca" -o "$ca/$node"
      mv "$ca/$node"/*.crt "$ca/$node/node.crt"
      mv "$ca/$node"/*.key "$ca/$node/node.key"
      cp "$ca/cluster.crt" "$ca/$node/"
    fi
  done
  chmod 0711 /etc/flocker
  install -o flocker -m 0600 "$ca/cluster.crt" /etc/flocker/cluster.crt
  install -o flocker -m 0600 "$ca/control-control.crt" /etc/flocker/control-service.crt
  install -o flocker -m 0600 "$ca/control-control.key" /etc/flocker/control-service.key
  # The CLI's, for the user that `vagrant ssh` logs in as.
  install -d -o vagrant -m 0700 /home/vagrant/flocker
  for file in cluster.crt user.crt user.key; do
    install -o vagrant -m 0600 "$ca/$file" "/home/vagrant/flocker/$file"
  done
  cat > /etc/profile.d/flocker.sh <<EOF
export FLOCKER_CONTROL_SERVICE=control FLOCKER_CERTS_PATH=/home/vagrant/flocker FLOCKER_USER=user
EOF
  touch /etc/flocker/control.yml # the defaults are good here

  chmod 0700 "$san"
  {
    echo "$san $NETWORK(rw,sync,no_subtree_check,no_root_squash)"
    # Only for this playground: every node could read the others' keys.
    echo "$ca $NETWORK(ro,sync,no_subtree_check,no_root_squash)"
  } > /etc/exports.d/flocker.exports
  exportfs -ra

  install -m 0644 /vagrant/docs/systemd/flocker-control.service /etc/systemd/system/
  systemctl daemon-reload
  systemctl enable --now flocker-control
  systemctl restart flocker-control
}

node() {
  install_packages nfs-common e2fsprogs xfsprogs
  grep -q " $san nfs4 " /etc/fstab || echo "$CONTROL:$san $san nfs4 hard,_netdev 0 0" >> /etc/fstab
  systemctl daemon-reload
  mountpoint -q "$san" || mount "$san"

  if [ ! -e /etc/flocker/node.key ]; then
    local from
    from=$(mktemp -d)
    mount -t nfs4 -o ro "$CONTROL:$ca" "$from"
    for file in cluster.crt node.crt node.key; do
      install -m 0600 "$from/$name/$file" "/etc/flocker/$file"
    done
    umount "$from"
    rmdir "$from"
  fi
  cat > /etc/flocker/agent.yml <<EOF
version: 1
control-service:
  hostname: control
dataset:
  backend: loopback
  root_path: $san
EOF
  install -m 0644 /vagrant/docs/systemd/flocker-agent.service /etc/systemd/system/
  install -d /etc/systemd/system/flocker-agent.service.d
  printf '[Unit]\nRequiresMountsFor=%s\n' "$san" > /etc/systemd/system/flocker-agent.service.d/san.conf
  systemctl daemon-reload
  systemctl enable --now flocker-agent
  systemctl restart flocker-agent
}

if [ "$name" = control ]; then control; else node; fi
