# Wildcards: several in one path, and a value with a slash

rule wildcards:
    input: "wildcards/a/b.c.txt", "wildcards/deep/er/d.e.txt"
rule wildcards_write:
    output: "wildcards/{folder}/{name}.{kind}.txt"
    shell: "echo {wildcards.folder} {wildcards.name} {wildcards.kind} > {output}"
