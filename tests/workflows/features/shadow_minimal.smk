# shadow: "minimal", and "copy-minimal"

rule shadow_minimal:
    input: "shadow_minimal/x.txt", "shadow_minimal/y.txt"
rule shadow_minimal_write:
    input: "in/a.txt"
    output: "shadow_minimal/x.txt"
    log: "shadow_minimal/x.log"
    shadow: "minimal"
    shell: "echo junk > junk.txt; cat {input} > {output}; echo said > {log}"
rule shadow_minimal_copy:
    input: "in/b.txt"
    output: "shadow_minimal/y.txt"
    shadow: "copy-minimal"
    shell: "echo junk > junk.txt; cat {input} > {output}"
