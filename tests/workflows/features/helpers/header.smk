configfile: "features/helpers/config.yaml"

def in_storage(path):
    """A query where there is a default storage; else the path."""
    prefix = workflow.storage_settings.default_storage_prefix
    return storage(f"{prefix}/{path}") if prefix else path
