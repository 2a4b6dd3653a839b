from sqlalchemy.testing.suite import *  # noqa: F403 - all of it
