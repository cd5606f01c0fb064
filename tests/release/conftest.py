from tests.release.fixtures import build_wheel, built

__all__ = ["build_wheel", "built"]
