# protected()

rule protected:
    input: "protected/x.txt"
rule protected_write:
    output: protected("protected/x.txt")
    shell: "echo x > {output}"
