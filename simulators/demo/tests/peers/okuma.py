"""The list of (time, value) of one key of an SHDR recording, read without anything of ours."""
import json
import sys

rows = []
inside = None
for line in open(sys.argv[1], encoding="utf-8"):
    fields = line.rstrip("\r\n").split("|")
    if inside:  # a multi-line asset ends where its own mark stands again
        inside = None if line.startswith(inside) else inside
        continue
    marks = [field for field in fields if field.startswith("--multiline--")]
    if marks:
        inside = marks[0]
        continue
    time, pairs = fields[0], fields[1:]
    if not time or time.startswith("*") or (pairs and pairs[0].startswith("@")):
        continue
    for key, value in zip(pairs[0::2], pairs[1::2]):
        if key == sys.argv[2]:
            rows.append([time, value])
print(json.dumps(rows))
