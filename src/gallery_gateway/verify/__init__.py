"""The command `verify`: asks the real REST API what its documentation leaves open."""
