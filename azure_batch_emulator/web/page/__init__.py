"""The page at `/`, for people: what the account has, as it changes.

A browser that asks for `/` as HTML gets the page (`data/page`), whose script asks for JSON below `/-/page/`: `snapshot`
makes it from the machine, `files` reads the files of nodes and tasks, `recent` has the last requests, and `secrets`
takes out what may not be shown. All other requests pass `routes` by, on their way to the service.
"""
