"""Try on the broker of this machine what differs between versions, and keep it in versions.csv.

    RMQLAB_BROKER=node python data/reference/make_versions.py

Run it once for each version; rows of other versions stay.
"""

from pathlib import Path

import pandas as pd

import rmqlab
from rmqlab import experiments

CSV = Path(__file__).with_name("versions.csv")

with rmqlab.start_broker(own=True) as broker:
    new = experiments.observe_versions(broker, experiments.VersionsConfig.full()).frame()
kept = pd.read_csv(CSV) if CSV.exists() else new.head(0)
rows = pd.concat([kept[kept["rabbitmq"] != new["rabbitmq"].iloc[0]], new]) if len(kept) else new
rows["order"] = [tuple(map(int, version.split("."))) for version in rows["rabbitmq"]]
rows = rows.sort_values("order", kind="stable").drop(columns="order")
rows.to_csv(CSV, index=False, lineterminator="\n")
