"""`python -m rmqlab` is the command `rmqlab`."""

from rmqlab.cli import main

main()
