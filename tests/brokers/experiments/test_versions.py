"""What the page of versions says is so on the broker at hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from rmqlab.broker import OwnBroker
from rmqlab.experiments import VersionsConfig, observe_versions

CSV = Path(__file__).parents[3] / "data" / "reference" / "versions.csv"


def test_each_behavior_is_as_the_reference_says(own_broker: OwnBroker) -> None:
    reference = pd.read_csv(CSV)
    series = reference["rabbitmq"].str.rsplit(".", n=1).str[0]
    said = reference[series == own_broker.version.rpartition(".")[0]].set_index("behavior")["observed"]
    if said.empty:
        pytest.skip(f"RabbitMQ {own_broker.version} is not in the reference")

    result = observe_versions(own_broker, VersionsConfig.full())

    assert result.rows.set_index("behavior")["observed"].to_dict() == said.to_dict()
    assert result.plot().axes[0].get_title(loc="left") == f"0 of {len(said)} behaviors differ"
