#!/bin/sh
# Works for a while, then crashes: see its deaths at /jobs/demo/flaky/deaths.
echo "working"
sleep $((5 + $$ % 10))
echo "something went wrong" >&2
exit 3
