# Configuration: validation against a schema, which fills defaults

from snakemake.utils import validate as validate_of_schema
CONFIG_OF_SCHEMA = {"word": "w"}
validate_of_schema(CONFIG_OF_SCHEMA, "helpers/config.schema.yaml")
rule schema:
    input: "schema/x.txt"
rule schema_write:
    output: "schema/x.txt"
    params: filled=CONFIG_OF_SCHEMA["filled"]
    shell: "echo {params.filled} > {output}"
