#!/bin/sh
# Greets once and then waits, with a child of its own that must not outlive it.
echo "$1, as instance $GAFFER_INSTANCE of $GAFFER_SESSION.$GAFFER_JOB, port $PORT"
sleep 86400 &
wait
