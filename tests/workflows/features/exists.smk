# Semantic helpers: exists() asks where the files are

rule exists:
    input: "exists/x.txt"
rule exists_write:
    output: "exists/x.txt"
    params: there=exists("in/a.txt"), missing=exists("in/never.txt")
    shell: "echo {params.there} {params.missing} > {output}"
