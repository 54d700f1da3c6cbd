# Access patterns

rule access_pattern:
    input: "access_pattern/x.txt"
rule access_pattern_write:
    input: access.sequential("in/a.txt"), access.random("in/b.txt"), access.multi("in/nested/c.txt")
    output: "access_pattern/x.txt"
    shell: "cat {input} > {output}"
