# update() and before_update()

rule update:
    input: "update/all.txt"
rule update_seen:
    input: before_update("update/all.txt")
    output: "update/seen.txt"
    shell: "cat {input} > {output}"
rule update_all:
    input: "update/seen.txt"
    output: update("update/all.txt")
    shell: "echo second >> {output}"
