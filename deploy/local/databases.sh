#!/bin/sh
# Run once by the PostgreSQL container, on an empty volume: two roles and a database a service, as provision.py makes
# them for the native stack. The owner owns the tables, the other role serves; neither is above row-level security, and
# neither enters another database: those that PostgreSQL comes with are closed to them.
set -eu
psql -v ON_ERROR_STOP=1 --username postgres --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
for service in booking tenancy; do
  name=$(echo "$service" | tr '[:lower:]' '[:upper:]')
  eval "owner_password=\$${name}_OWNER_PASSWORD service_password=\$${name}_SERVICE_PASSWORD"
  psql -v ON_ERROR_STOP=1 -v service="$service" -v owner="${service}_owner" -v server="${service}_service" \
    -v owner_password="$owner_password" -v service_password="$service_password" --username postgres <<'SQL'
CREATE ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
CREATE ROLE :"server" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'service_password';
CREATE DATABASE :"service" OWNER :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"service" TO :"server";
\connect :"service"
CREATE EXTENSION btree_gist;
SQL
done
