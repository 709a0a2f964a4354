"""Which messages are unsettled, whatever the broker settles and however often connections are lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqlab.amqp._window import Window


def _window(count: int, *, keeps: bool = True) -> Window[str]:
    window: Window[str] = Window(keeps=keeps)
    for number in range(count):
        window.add(f"message {number}")
    return window


def test_messages_are_numbered_from_zero_and_unsettled_at_first() -> None:
    window = _window(3)

    assert (window.published, window.unsettled) == (3, 3)


def test_one_is_settled() -> None:
    window = _window(3)

    assert list(window.settle(2, multiple=False)) == [(1, 1)]
    assert window.unsettled == 2


def test_all_up_to_one_are_settled_but_those_that_were_before() -> None:
    window = _window(5)
    window.settle(2, multiple=False)

    assert list(window.settle(4, multiple=True)) == [(0, 0), (2, 3)]
    assert window.unsettled == 1


def test_tag_zero_settles_all() -> None:
    window = _window(3)

    assert list(window.settle(0, multiple=True)) == [(0, 2)]
    assert window.unsettled == 0


def test_what_is_unsettled_starts_the_next_channel_in_its_order() -> None:
    window = _window(5)
    window.settle(1, multiple=True)
    window.settle(4, multiple=False)

    assert window.start_again() == ["message 1", "message 2", "message 4"]
    assert (window.published, window.unsettled) == (5, 3)


def test_on_the_next_channel_tags_begin_at_one_and_numbers_stay() -> None:
    window = _window(5)
    window.settle(4, multiple=True)
    window.start_again()
    window.add("message 5")

    assert list(window.settle(2, multiple=True)) == [(4, 4), (5, 5)]


def test_a_channel_that_is_lost_at_once_loses_nothing() -> None:
    window = _window(3)
    window.settle(2, multiple=False)
    first = window.start_again()

    assert window.start_again() == first == ["message 0", "message 2"]


def test_without_keeping_there_is_nothing_to_start_again_with() -> None:
    with pytest.raises(AssertionError):
        _window(1, keeps=False).start_again()


@given(st.data())
def test_every_message_is_settled_once_and_only_what_is_not_is_sent_again(data: st.DataObject) -> None:
    window: Window[int] = Window(keeps=True)
    on_channel: list[int] = []  # what was sent on the channel, by place
    unsettled: set[int] = set()
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["add", "add", "settle", "settle all", "lose"]))
        if step == "add":
            on_channel.append(window.published)
            unsettled.add(window.published)
            window.add(window.published)
        elif step == "lose":
            on_channel = window.start_again()
            assert on_channel == sorted(unsettled)
        elif on_channel:
            place = data.draw(st.integers(0, len(on_channel) - 1))
            is_all = step == "settle all"
            due = unsettled & set(on_channel[: place + 1] if is_all else [on_channel[place]])
            if not is_all and not due:
                continue  # a broker settles no message twice
            ranges = list(window.settle(place + 1, multiple=is_all))
            assert sorted(n for first, last in ranges for n in range(first, last + 1)) == sorted(due)
            unsettled -= due
        assert window.unsettled == len(unsettled)
