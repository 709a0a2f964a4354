"""Which messages are unsettled, whatever the broker settles and however often connections are lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rmqlab.amqp._window import Window


def _window(count: int, *, keeps: bool = True) -> Window[str]:
    window: Window[str] = Window(keeps=keeps)
    for number in range(count):
        window.add(f"message {number}")
    return window


def test_tag_zero_settles_all() -> None:
    window = _window(3)

    assert list(window.settle(0, multiple=True)) == [(0, 2)]
    assert window.unsettled == 0


def test_on_the_next_channel_tags_begin_at_one_and_numbers_stay() -> None:
    window = _window(5)
    window.settle(4, multiple=True)
    window.start_again()
    window.add("message 5")

    assert list(window.settle(2, multiple=True)) == [(4, 4), (5, 5)]


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
