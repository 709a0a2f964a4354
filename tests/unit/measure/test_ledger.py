"""Recorders and ledgers: what they refuse, and what they cost."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from helpers import body_of

from rmqlab.errors import LedgerError
from rmqlab.measure import Ledger, Load, Report, by_message_id


def test_many_messages_take_under_64_bytes_each_and_are_reported_at_once() -> None:
    count = 200_000
    ledger = Ledger()
    publisher, worker = ledger.publisher(), ledger.consumer()
    for number in range(count):
        publisher.published(number)
        publisher.confirmed(number)
        worker.delivered(number + 1, False, None, body_of(number))
    worker.settled(count, True, "acked")
    assert len(pickle.dumps(ledger)) <= 64 * count  # what recorders hold

    started_s = time.process_time()
    report = Report.of(ledger)
    for frame in (report.throughput, report.latency, report.deliveries, report.consumers):
        assert len(frame())
    assert ledger.totals().acked == count
    assert time.process_time() - started_s < 5
    assert report.account.messages.memory_usage().sum() <= 64 * count


@pytest.mark.parametrize("message_id", [None, "", "seven", "-1", "99999999999999999999999999"])
def test_a_message_id_that_is_no_number_is_not_of_the_run(message_id: str | None) -> None:
    ledger = Ledger()
    ledger.publisher().published(0)
    worker = ledger.consumer(identify=by_message_id)
    worker.delivered(1, False, SimpleNamespace(message_id=message_id), b"")

    assert ledger.totals().received == 0


def test_a_message_of_another_load_is_not_of_the_run_though_it_has_a_good_number() -> None:
    mine, other = Load(10), Load(10)
    ledger = Ledger()
    publisher = ledger.publisher(identify=mine.identify)
    publisher.published(0)
    worker = ledger.consumer(identify=mine.identify)
    worker.delivered(1, False, None, other.body(0))
    worker.delivered(2, False, None, mine.body(0))
    publisher.returned(None, other.body(0))

    assert (ledger.received, ledger.totals().received) == (2, 1)
    assert ledger.totals().returned == 0


@pytest.mark.parametrize("number", [3, -1])
@pytest.mark.parametrize("answer", ["confirmed", "nacked"])
def test_an_answer_for_what_was_not_published_is_refused(number: int, answer: str) -> None:
    ledger = Ledger()
    publisher = ledger.publisher()
    for each in range(3):
        publisher.published(each)

    with pytest.raises(LedgerError, match=rf"names its message {number}, .*Next: "):
        getattr(publisher, answer)(number)
    assert ledger.totals().published == 3
    assert ledger.totals().confirmed == ledger.totals().nacked == 0


@pytest.mark.parametrize("number", [2, -1])
def test_a_publisher_may_not_leave_out_a_number(number: int) -> None:
    publisher = Ledger().publisher()
    publisher.published(0)

    with pytest.raises(LedgerError, match="has published 1 so far"):
        publisher.published(number)


@pytest.mark.parametrize("tag", [3, 0])
def test_a_consumer_may_not_leave_out_a_tag(tag: int) -> None:
    consumer = Ledger().consumer("worker-1")
    consumer.delivered(1, False, None, body_of(0))

    with pytest.raises(LedgerError, match=r"'worker-1' was handed delivery tag.*where 2 or 1 was due"):
        consumer.delivered(tag, False, None, body_of(0))


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("tag", [3, 2, 0, -1])
def test_what_was_not_delivered_on_this_channel_cannot_be_settled(tag: int, multiple: bool) -> None:
    consumer = Ledger().consumer("worker-1")
    consumer.delivered(1, False, None, body_of(0))
    consumer.delivered(2, False, None, body_of(1))
    consumer.delivered(1, True, None, body_of(0))  # on another channel

    with pytest.raises(LedgerError, match=f"settled delivery tag {tag}"):
        consumer.settled(tag, multiple, "acked")


def test_a_run_has_one_publisher() -> None:
    ledger = Ledger()
    ledger.publisher()

    with pytest.raises(LedgerError, match=r"has a publisher already.*Next: "):
        ledger.publisher()


def test_a_ledger_may_be_asked_while_recorders_write() -> None:
    ledger = Ledger()
    publisher, consumer = ledger.publisher(), ledger.consumer()
    asked = threading.Event()

    def publish() -> None:
        for number in range(50_000):
            if number == 25_000:
                assert asked.wait(20)  # so that the ledger is asked amid the writing
            publisher.published(number)
            publisher.confirmed(number)

    def consume() -> None:
        for tag in range(1, 50_001):
            consumer.delivered(tag, False, None, body_of(tag - 1))
            if tag % 7 == 0:
                consumer.settled(tag - 3, False, "acked")
            if tag % 100 == 0:
                consumer.settled(tag, True, "acked")

    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(publish), threads.submit(consume)]
        while not all(each.done() for each in writing):
            totals = ledger.totals()
            assert totals.confirmed <= totals.published
            assert totals.acked <= 50_000
            asked.set()
        for each in writing:
            each.result()

    assert ledger.totals().acked == 50_000
    assert ledger.done == 50_000
