# Priorities

rule priority:
    input: "priority/a.txt"
rule priority_write:
    output: "priority/a.txt"
    priority: 50
    shell: "echo x > {output}"
