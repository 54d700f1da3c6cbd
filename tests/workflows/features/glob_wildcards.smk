# glob_wildcards() over files that the run has not made

rule glob_wildcards:
    input: expand("glob_wildcards/{s}.txt", s=sorted(glob_wildcards(in_storage("in/{s,[a-z]}.txt")).s))
rule glob_wildcards_write:
    input: "in/{s}.txt"
    output: "glob_wildcards/{s}.txt"
    shell: "cat {input} > {output}"
