#!/bin/sh
# Run once, on an empty volume: the two roles and the database of one service, as deploy/local/databases.sh makes them.
set -eu
psql -v ON_ERROR_STOP=1 --username postgres --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
psql -v ON_ERROR_STOP=1 -v service="$SERVICE" -v owner="${SERVICE}_owner" -v server="${SERVICE}_service" \
  -v owner_password="$OWNER_PASSWORD" -v service_password="$SERVICE_PASSWORD" --username postgres <<'SQL'
CREATE ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
CREATE ROLE :"server" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'service_password';
CREATE DATABASE :"service" OWNER :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"service" TO :"server";
\connect :"service"
CREATE EXTENSION btree_gist;
SQL
