"""Make the reference run of the client libraries, `bench.csv`: at full size, about ten minutes.

It is a part of `make reference`. The machine should have nothing else to do.
"""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

import rmqlab
from rmqlab.experiments import ClientsConfig, compare_clients

FILE = Path(__file__).with_name("bench.csv")
SOME = ("pika SelectConnection, window", "rmqlab publish_all, window")
SIZES_BYTES = (16, 4096, 65536)
PROCESSES = (2, 4)

if __name__ == "__main__":  # the processes of the comparison import this file again
    configs = [
        ClientsConfig.full(),
        *(ClientsConfig.full(variants=SOME, body_bytes=size) for size in SIZES_BYTES),
        *(ClientsConfig.full(variants=SOME, processes=count) for count in PROCESSES),
    ]
    with rmqlab.start_broker() as broker:
        runs = pd.concat([compare_clients(broker, config).frame() for config in configs])
        runs = runs.assign(source=broker.source, measured=datetime.now(UTC).date().isoformat())
    runs.to_csv(FILE, index=False, float_format="%.6g", lineterminator="\n")
