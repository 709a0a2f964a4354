"""What each part offers: a name comes or goes here on purpose, and with its lesson or program."""

from __future__ import annotations

import importlib

import pytest

FACES = {
    "rmqlab.broker": """
        Broker Fault Link Outage OwnBroker QUEUE_METADATA_FLUSH_S check_sources chosen_source
        start_broker
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
        process_pool provenance publish_load published_ns read_reference run_grid run_jobs
        summarize_repeats
    """,
    "rmqlab.experiments": """
        AckBatchesConfig Broadcast ClientsConfig Failures FaultRun FaultsConfig Job Result
        RoutingConfig Subscriber Workload WorkloadConfig break_everything capture_failures
        compare_clients compare_waits consume_load crash_after crash_before load_workload
        make_workload measure_ack_batches measure_durability measure_partition_detection
        observe_exits plot_attendance plot_backlog plot_clients plot_confirm_cost
        plot_fairness_and_rate plot_faults plot_outages plot_rates plot_recoveries plot_spread
        plot_survival publish_for round_trip_ms route_workload run_broadcast run_when
        run_with_faults run_workload table_of_keys
    """,
    "rmqlab": """
        AddressError Broker BrokerEndedError BrokerError BrokerRefusedError BrokerUnavailableError
        ChannelClosedError ConnectionLostError ConsumerCancelledError DataError FaultError
        InvalidEventError InvalidMessageError InvalidTaskError LedgerError LessonError ManagementError
        NameTakenError RejectError RmqlabError StoppedError TimeLimitError TopologyMismatchError
        start_broker
    """,
}


@pytest.mark.parametrize("part", FACES)
def test_a_part_offers_these_names(part: str) -> None:
    module = importlib.import_module(part)

    assert sorted(module.__all__) == sorted(FACES[part].split())
    assert all(getattr(module, name) is not None for name in module.__all__)
