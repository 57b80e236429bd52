#!/bin/sh
# Start Redis as a replica of the master that the Sentinels know; of the one that this pod's Sentinel wrote down last,
# where none answers; and at the very first start of the first pod.
set -eu
umask 077
own="$POD_NAME.redis-nodes.$POD_NAMESPACE.svc"
first="redis-nodes-0.redis-nodes.$POD_NAMESPACE.svc"
tls="--tls --cacert /etc/redis/tls/ca.crt"

master=$(REDISCLI_AUTH=$ADMIN_PASSWORD timeout 5 redis-cli $tls -h redis-sentinels -p 26379 \
  sentinel get-master-addr-by-name production 2> /dev/null | head -n 1) || master=
case $master in *.svc) ;; *)
  master=$(sed -n 's/^sentinel monitor production \([^ ]*\) .*/\1/p' /data/sentinel.conf 2> /dev/null) || master=
esac
master=${master:-$first}

cat > /run/redis/users.acl <<ACL
user default off
user admin on >$ADMIN_PASSWORD ~* &* +@all
user front on >$FRONT_PASSWORD resetkeys resetchannels -@all +ping +info
user gateway on >$GATEWAY_PASSWORD resetkeys resetchannels -@all ~gateway:rate:* +ping +select +evalsha +script|load +incrby +expire
user notifications on >$NOTIFICATIONS_PASSWORD resetkeys resetchannels -@all ~live:* &live:* +ping +select +evalsha +script|load +xadd +xrange +xrevrange +expire +publish +subscribe +unsubscribe
ACL
cat > /run/redis/redis.conf <<CONF
port 0
tls-port 6379
tls-cert-file /etc/redis/tls/tls.crt
tls-key-file /etc/redis/tls/tls.key
tls-ca-cert-file /etc/redis/tls/ca.crt
tls-auth-clients no
tls-protocols TLSv1.3
tls-replication yes
aclfile /run/redis/users.acl
masteruser admin
masterauth $ADMIN_PASSWORD
replica-announce-ip $own
dir /data
appendonly yes
save ""
maxmemory ${MAXMEMORY}
maxmemory-policy noeviction
CONF
[ "$master" = "$own" ] || echo "replicaof $master 6379" >> /run/redis/redis.conf
exec redis-server /run/redis/redis.conf
