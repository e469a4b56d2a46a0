#!/bin/sh
# Counts in steps, and says goodbye when it is asked to stop.
trap 'echo "stopping at $n"; exit 0' TERM
n=0
while :; do
    n=$((n + ${1:-1}))
    echo "counted to $n"
    sleep 2 &
    wait $!
done
