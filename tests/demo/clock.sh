#!/bin/sh
# Tells the time every five seconds.
while :; do
    date '+it is %H:%M:%S'
    sleep 5
done
