#!/bin/sh
# A user a service, with the keys and channels that are its own; the default user is off.
set -eu
umask 077
cat > /tmp/users.acl <<ACL
user default off
user admin on >$ADMIN_PASSWORD ~* &* +@all
user gateway on >$GATEWAY_PASSWORD resetkeys resetchannels -@all ~gateway:rate:* +ping +select +evalsha +script|load +incrby +expire
user notifications on >$NOTIFICATIONS_PASSWORD resetkeys resetchannels -@all ~live:* &live:* +ping +select +evalsha +script|load +xadd +xrange +xrevrange +expire +publish +subscribe +unsubscribe
ACL
exec redis-server --dir /data --appendonly yes --save '' --aclfile /tmp/users.acl
