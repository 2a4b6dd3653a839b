"""`python -m app` is `spoke`."""

from app.main import main

main()
