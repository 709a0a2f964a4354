"""What each part offers: a name comes or goes here on purpose, and with its lesson or program."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

FACES = {
    "rmqlab.broker": """
        Broker Fault Link Outage OwnBroker QUEUE_METADATA_FLUSH_S start_broker
    """,
    "rmqlab.amqp": """
        Acks Binding Confirms ConnectionEvent ConsumeObserver Consumer Crash Exchange PublishObserver
        Publisher Queue Recovery Topology ack_each ack_every auto_ack confirm_batch confirm_each
        confirm_window connect fire_and_forget purge
    """,
    "rmqlab.engine": """
        Crash EngineAPI EngineWorker Event EventSubscriber TOPOLOGY Task
    """,
    "rmqlab.measure": """
        ConstantDuration Ledger Load ParetoDuration Report by_message_id compare_to_reference jain_index
        provenance publish_load read_reference summarize_repeats
    """,
    "rmqlab.view": """
        Mark Replay Scene replay
    """,
    "rmqlab": """
        AddressError Broker BrokerEndedError BrokerError BrokerRefusedError BrokerUnavailableError
        ChannelClosedError ConnectionLostError ConsumerCancelledError DataError FaultError
        InvalidMessageError LedgerError LessonError ManagementError NameTakenError RejectError
        RmqlabError StoppedError TimeLimitError TopologyMismatchError start_broker watch
    """,
}


@pytest.mark.parametrize("part", FACES)
def test_a_part_offers_these_names(part: str) -> None:
    module = importlib.import_module(part)

    assert sorted(module.__all__) == sorted(FACES[part].split())
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_each_experiment_is_shown_in_a_notebook_or_makes_a_reference() -> None:
    experiments = importlib.import_module("rmqlab.experiments")
    sources = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("data/**/*.py"), *ROOT.rglob("user_program.py")]
    named = set(re.findall(r"\w+", "".join(path.read_text() for path in sources)))

    assert set(experiments.__all__) - named == set()
    assert all(getattr(experiments, name) is not None for name in experiments.__all__)
