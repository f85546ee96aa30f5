#!/usr/bin/env bash
# touch.py four times in the background, a quarter of the work each, all of them there at the same time.
# usage: children.sh PYTHON TOUCH MEGABYTES BURN SLEEP
folder=$(mktemp -d)
for _ in 1 2 3 4; do
    "$1" "$2" "$(($3 / 4))" "$(awk "BEGIN { print $4 / 4 }")" "$5" "$folder" 4 &
done
wait
rm -r "$folder"
