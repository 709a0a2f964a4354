"""`python -m rmqlab` is the command `rmqlab`."""

from rmqlab.app.cli import main

main()
