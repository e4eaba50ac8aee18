"""What an explanation may change of a table's row, see `agents.constraints.apply`."""

from agents.constraints.apply import KEY, MORE, constrained, constrained_as, constrained_source, constraints_of

__all__ = ["KEY", "MORE", "constrained", "constrained_as", "constrained_source", "constraints_of"]
