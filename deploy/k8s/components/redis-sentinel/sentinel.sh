#!/bin/sh
# Start the Sentinel of this pod; what it learns stands on the volume.
set -eu
umask 077
own="$POD_NAME.redis-nodes.$POD_NAMESPACE.svc"
first="redis-nodes-0.redis-nodes.$POD_NAMESPACE.svc"
if [ ! -s /data/sentinel.conf ]; then
  cat > /data/sentinel.conf.new <<CONF
port 0
tls-port 26379
tls-cert-file /etc/redis/tls/tls.crt
tls-key-file /etc/redis/tls/tls.key
tls-ca-cert-file /etc/redis/tls/ca.crt
tls-auth-clients no
tls-protocols TLSv1.3
tls-replication yes
dir /tmp
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $own
sentinel announce-port 26379
sentinel monitor production $first 6379 2
sentinel down-after-milliseconds production 5000
sentinel failover-timeout production 30000
sentinel parallel-syncs production 1
CONF
  mv /data/sentinel.conf.new /data/sentinel.conf
fi
# Passwords are written anew at each start: they may have been changed.
sed -i '/^requirepass /d; /^sentinel auth-/d; /^sentinel sentinel-pass /d' /data/sentinel.conf
cat >> /data/sentinel.conf <<CONF
requirepass $ADMIN_PASSWORD
sentinel sentinel-pass $ADMIN_PASSWORD
sentinel auth-user production admin
sentinel auth-pass production $ADMIN_PASSWORD
CONF
exec redis-server /data/sentinel.conf --sentinel
