#!/bin/sh
# A plugin of gafferd in sh: a message of the node is a line on stdin, one to the node a line on stdout.
while read -r message; do
    # Without a file it is in the log of its job.
    if [ -n "$DIARY" ]; then echo "$message" >>"$DIARY"; else echo "$message" >&2; fi
    case $message in
    *'"event": "gaffer:event"'*'.failed"'*)
        job=${message##*\"name\": \"}
        job=${job%%\"*}
        echo '{"event": "CMD", "data": {"identity": "'"$job"'", "name": "start_job", "args": ["'"$job"'"]}}'
        ;;
    esac
done
