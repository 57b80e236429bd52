# --8<-- [start:token]
API=http://127.0.0.1:8000/v1
AUTH="Authorization: Bearer $(make -s token TENANT=acme ROLE=admin USER=ana)"
JSON="Content-Type: application/json"
# --8<-- [end:token]

# --8<-- [start:artist]
ARTIST=$(curl -s -H "$AUTH" -H "$JSON" $API/artists -d '{"name": "The Grateful Dead"}' \
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
# --8<-- [end:artist]

# --8<-- [start:pencil]
NIGHT='"start_time": "2027-05-08T20:00:00-04:00", "end_time": "2027-05-08T23:30:00-04:00"'
curl -si -H "$AUTH" -H "$JSON" $API/bookings \
  -d "{\"artist_id\": \"$ARTIST\", $NIGHT, \"title\": \"Barton Hall\"}"
# --8<-- [end:pencil]

# --8<-- [start:confirm]
BOOKING=$(curl -s -H "$AUTH" "$API/bookings?artist_id=$ARTIST" \
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])')
curl -s -H "$AUTH" -H 'If-Match: "1"' -X POST $API/bookings/$BOOKING/confirm
# --8<-- [end:confirm]

# --8<-- [start:conflict]
curl -s -H "$AUTH" -H "$JSON" $API/bookings \
  -d "{\"artist_id\": \"$ARTIST\", $NIGHT, \"title\": \"Barton Hall, again\"}"
# --8<-- [end:conflict]

# --8<-- [start:events]
curl -s -H "$AUTH" "$API/events?stream=booking&after=0" | python3 -m json.tool
# --8<-- [end:events]
