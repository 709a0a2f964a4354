"""A room of learners on one broker: a seat for each, and a page that shows how far they have got."""
