from tests.tracking_fixtures import clone, template

__all__ = ["clone", "template"]
