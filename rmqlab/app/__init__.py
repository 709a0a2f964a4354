"""The command `rmqlab`: doctor, broker, lab, run."""
