"""A GraphQL gateway over PiktID's gallery endpoint."""

__version__ = "0.1.0"
