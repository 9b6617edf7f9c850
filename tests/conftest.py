"""Nothing is shared by all tests but pytester."""

pytest_plugins = ["pytester"]
