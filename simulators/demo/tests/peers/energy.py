"""Energy per day of a 15-minute recording, cut by row order: 96 rows are a day, the 00:00 row ends its day."""
import csv
import json
import sys
from decimal import Decimal

steps = [Decimal(row["Usage_kWh"]) for row in csv.DictReader(open(sys.argv[1], encoding="utf-8-sig"))]
days = [sum(steps[start : start + 96]) for start in range(0, len(steps), 96)]
print(json.dumps({"rows": len(steps), "days": [str(day) for day in days]}))
