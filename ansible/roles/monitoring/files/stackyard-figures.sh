#!/bin/sh
# Hands the figures of the services process, which listens on the loopback address only, to the node exporter.
# Arguments: port, folder, seconds between looks. A file that is old is none: it goes when nobody answers.
set -u
port=$1 folder=$2 pause=$3
file=$folder/stackyard.prom draft=$folder/.stackyard.draft
trap 'rm -f "$draft" "$file"; exit 0' TERM INT
while :; do
    if curl --silent --fail --max-time 5 --max-filesize 8000000 --output "$draft" "http://127.0.0.1:$port/metrics"; then
        answers=1
    else
        answers=0
        : >"$draft"
    fi
    {
        echo '# HELP stackyard_services_up Whether the services process of the host answers.'
        echo '# TYPE stackyard_services_up gauge'
        echo "stackyard_services_up $answers"
    } >>"$draft"
    chmod 644 "$draft" && mv "$draft" "$file"
    sleep "$pause" &
    wait $!
done
