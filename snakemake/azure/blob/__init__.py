"""Azure Blob Storage: where the credentials come from, names, transfers, and Snakemake's provider `azblob`.

`account` resolves credentials, `service` makes the SDK's client and says how long it tries, `node_access` is what a
task is given, `names` knows what a query may look like, `metadata` asks what is there, `listing` reads a listing,
`metadata_cache` keeps what is known, `store` moves blobs and changes them, `download` and
`upload` move one file and `files` is their local side, `node_cache` is what the tasks of a node share,
`temporary_files` is where downloads lie until they are whole, `errors` puts the service's refusals into sentences,
`inventory` decides what to list, and `storage` is what Snakemake sees. Importing any of them does
not import the SDK (azure.storage.blob): that happens with the first request.
"""
