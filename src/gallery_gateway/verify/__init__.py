"""The command `verify`: checks what the documentation of the REST API leaves open."""
