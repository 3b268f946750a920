#!/bin/sh
# Writes one message to the topic and reads it back. The password is read from KAFKA_PASSWORD.
# The topic must be there already.
#
# By {{mechanism}}. PLAIN is safe inside TLS, and goes first where it is on: many distributions build kcat with a librdkafka
# older than 2.6.1, whose SCRAM Kafka 4 refuses (confluentinc/librdkafka#4895).
set -eu
: "${KAFKA_PASSWORD:?set it to the password of the Kafka user {{user}}}"

# Settings come from a file, so that the password does not show in the list of processes.
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
# In this file a backslash is written twice.
password=$(printf '%s' "$KAFKA_PASSWORD" | sed 's/\\/\\\\/g')
cat > "$settings" <<SETTINGS
bootstrap.servers={{bootstrap}}
security.protocol=SASL_SSL
sasl.mechanisms={{mechanism}}
sasl.username={{user}}
sasl.password=$password
ssl.ca.location={{ca_file}}
ssl.endpoint.identification.algorithm=https
SETTINGS

message="hello $(date +%s)-$$"
printf '%s\n' "$message" | kcat -F "$settings" -P -t '{{topic}}' -X acks=all
echo "produced: $message"

kcat -F "$settings" -C -t '{{topic}}' -o beginning -e -q | grep -F -x -q -- "$message"
echo "consumed: $message"
