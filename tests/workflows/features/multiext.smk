# multiext(): extensions, named ones, and a prefix that ends with a dot

rule multiext:
    input: "multiext/all.txt", multiext("multiext/dot.", "txt", "csv")
rule multiext_write:
    output: multiext("multiext/x", ".one", ".two")
    shell: "for f in {output}; do echo x > $f; done"
rule multiext_named:
    output: multiext("multiext/y", txt=".txt", csv=".csv")
    shell: "echo y > {output.txt}; echo c > {output.csv}"
rule multiext_dot:
    output: multiext("multiext/{s}.", "txt", "csv")
    wildcard_constraints: s="dot"
    shell: "for f in {output}; do echo {wildcards.s} > $f; done"
rule multiext_all:
    input: multiext("multiext/x", ".one", ".two"), rules.multiext_named.output.csv
    output: "multiext/all.txt"
    shell: "cat {input} > {output}"
