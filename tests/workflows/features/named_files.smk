# Rules: named inputs and outputs, lists among them

rule named_files:
    input: "named_files/one.txt", "named_files/all.txt"
rule named_files_write:
    input: first="in/a.txt", rest=["in/b.txt", "in/nested/c.txt"]
    output: one="named_files/one.txt", all="named_files/all.txt"
    shell: "cat {input.first} > {output.one}; cat {input.rest} {input.first} > {output.all}; echo {input.rest[1]:q} | wc -w >> {output.all}"
