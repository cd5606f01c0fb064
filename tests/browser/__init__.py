"""A package, so that fixtures can live as long as the tests of this folder."""
