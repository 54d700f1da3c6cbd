# Semantic helpers: lookup() in a mapping

TABLE_OF_LOOKUP = {"units": {"a": {"file": "in/a.txt", "n": 3}, "b": {"file": "in/b.txt", "n": 4}}}
rule lookup:
    input: "lookup/a.txt", "lookup/b.txt"
rule lookup_write:
    input: lookup(dpath="units/{s}/file", within=TABLE_OF_LOOKUP)
    output: "lookup/{s}.txt"
    params: n=lookup(dpath="units/{s}/n", within=TABLE_OF_LOOKUP)
    shell: "cat {input} > {output}; echo {params.n} >> {output}"
