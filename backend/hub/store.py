"""The tables of `hub`: its API keys."""

from sqlalchemy import MetaData

from backend.kit.keys import ApiKeys


class Store:
    """All that the hub keeps."""

    def __init__(self, pepper: bytes):
        self.metadata = MetaData()
        self.keys = ApiKeys(self.metadata, pepper)
