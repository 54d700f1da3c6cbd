# Reports: output with a caption

rule report_flag:
    input: "report_flag/x.txt"
rule report_flag_write:
    output: report("report_flag/x.txt", caption="helpers/caption.rst", category="c", labels={"a": "b"})
    shell: "echo x > {output}"
