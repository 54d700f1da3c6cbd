rule include_write:
    output: "include/x.txt"
    params: table=workflow.source_path("../beside/words.txt")
    shell: "cat {params.table} > {output}"
