"""Which messages are unsettled, whatever the broker settles and however often connections are lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rmqlab.amqp._window import Window


@given(st.data())
def test_every_message_is_settled_once_and_only_what_is_not_is_sent_again(data: st.DataObject) -> None:
    window = Window()
    published = 0
    on_channel: list[int] = []  # what was sent on the channel, by place
    unsettled: set[int] = set()
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["add", "add", "settle", "settle all", "lose"]))
        if step == "add":
            on_channel.append(published)
            unsettled.add(published)
            window.add(published, published)
            published += 1
        elif step == "lose":
            on_channel = window.start_again()
            assert on_channel == sorted(unsettled)
        elif on_channel:
            is_all = step == "settle all"
            tag = data.draw(st.integers(0 if is_all else 1, len(on_channel)))  # 0 is all there are
            due = unsettled & set(on_channel[: tag or None] if is_all else [on_channel[tag - 1]])
            if not is_all and not due:
                continue  # a broker settles no message twice
            assert sorted(window.settle(tag, multiple=is_all)) == sorted(due)
            unsettled -= due
        assert len(window) == len(unsettled)
