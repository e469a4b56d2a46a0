"""Reads metrics from stdin as Prometheus' own client for Python does, which is strict: `metrics.py DIALECT`, where that is
openmetrics or text. Tells a little of what it found, as JSON."""

import json
import sys

from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics

parser = {"openmetrics": openmetrics, "text": text}[sys.argv[1]]
families = {family.name: family for family in parser.text_string_to_metric_families(sys.stdin.read())}
assert len(families) > 40, sorted(families)
for family in families.values():
    assert family.samples, family
    assert family.documentation, family
# A process runs only after a while.
live = ("starting", "running")
running = sum(
    sample.value for sample in families["gaffer_instances"].samples if sample.labels["state"] in live
)
build = families.get("gaffer_build") or families["gaffer_build_info"]
counter = families["gaffer_job_cpu_seconds"]
assert counter.type == "counter", counter
if sys.argv[1] == "openmetrics":
    assert build.type == "info" and counter.unit == "seconds"
print(json.dumps({"gaffer_instances": int(running), "gaffer_build": build.samples[0].labels["version"]}))
